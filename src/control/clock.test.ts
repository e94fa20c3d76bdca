import { beforeEach, expect, test } from 'vitest';
import { trustedClock } from './clock.ts';

const HOUR = 3_600_000;
let wallMs: number;
let uptimeMs: number;
let leaps: number[];
let now: () => number;

beforeEach(() => {
  wallMs = Date.UTC(2026, 3, 13);
  uptimeMs = 5_000;
  leaps = [];
  now = trustedClock({ wallMs: () => wallMs, uptimeMs: () => uptimeMs, leapt: (byMs) => leaps.push(byMs) });
});

const pass = (ms: number) => {
  wallMs += ms;
  uptimeMs += ms;
};

test('follows the wall clock, its drift, and a machine that slept', () => {
  for (let i = 0; i < 100; i++) {
    pass(HOUR);
    wallMs += 30_000;
    expect(now()).toBe(wallMs);
  }
  expect(leaps).toEqual([]);
});

test('a leap of ten days and back charges nothing: time goes on as before', () => {
  pass(HOUR);
  const beforeMs = now();
  wallMs += 240 * HOUR;
  pass(HOUR / 2);
  expect(now()).toBe(beforeMs + HOUR / 2);
  pass(HOUR / 4);
  expect(now()).toBe(beforeMs + (HOUR * 3) / 4);
  wallMs -= 240 * HOUR;
  expect(now()).toBe(wallMs);
  expect(leaps).toEqual([240 * HOUR]);
});

test('a leap that stays is believed after an hour', () => {
  wallMs += 240 * HOUR;
  expect(now()).toBe(wallMs - 240 * HOUR);
  pass(HOUR);
  expect(now()).toBe(wallMs);
  pass(1_000);
  expect(now()).toBe(wallMs);
  expect(leaps).toHaveLength(1);
});

test('a clock that is set back is followed at once', () => {
  wallMs -= 240 * HOUR;
  expect(now()).toBe(wallMs);
});
