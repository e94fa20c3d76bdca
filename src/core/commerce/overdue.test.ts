import { expect, test } from 'vitest';
import { isCleared, nextOverdueEvent } from './overdue.ts';

const HOUR = 3_600_000;

test('told 12 h and 1 h before, reclaimed 24 h after, then nothing more', () => {
  const seen: [string, number][] = [];
  for (let next = nextOverdueEvent(0, 0); next !== null; next = nextOverdueEvent(0, next.atMs)) {
    seen.push([next.kind, next.atMs / HOUR]);
  }
  expect(seen).toEqual([
    ['notice', 12],
    ['notice', 23],
    ['reclaim', 24],
  ]);
});

test.each([
  [0n, 24 * HOUR - 1, true],
  [0n, 24 * HOUR, false],
  [-1n, HOUR, false],
  [5n, -HOUR, true],
])('a balance of %d at %d ms clears it: %s', (balance, nowMs, cleared) => {
  expect(isCleared({ sinceMs: 0 }, balance, nowMs)).toBe(cleared);
});
