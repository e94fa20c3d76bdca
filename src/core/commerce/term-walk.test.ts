import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import {
  autoRenewLock,
  expiryDayOf,
  monthOf,
  nextMidnightMs,
  nextStretch,
  nextTermEvents,
  type Stretch,
} from './term.ts';

const DAY_MS = 86_400_000;
const ZONES = ['Asia/Shanghai', 'UTC', 'America/Sao_Paulo', 'Europe/Lisbon', 'America/New_York', 'Australia/Lord_Howe'];
/** Clocks there change at midnight, by half an hour, or stand at a quarter. */
const ODD_ZONES = ['Africa/Cairo', 'Asia/Beirut', 'America/Santiago', 'Pacific/Apia', 'Asia/Kathmandu'];

const wallClock = (ms: number, zone: string) => Temporal.Instant.fromEpochMilliseconds(ms).toZonedDateTimeISO(zone);

/** Months on paper, another way than the code under test: count, then clamp to the month's last day. */
function onPaper(first: string, months: number): string {
  const [year, month, day] = first.split('-').map(Number) as [number, number, number];
  const count = year * 12 + (month - 1) + months;
  const [y, m] = [Math.floor(count / 12), (count % 12) + 1];
  const lengths = [
    31,
    y % 4 === 0 && (y % 100 !== 0 || y % 400 === 0) ? 29 : 28,
    31,
    30,
    31,
    30,
    31,
    31,
    30,
    31,
    30,
    31,
  ];
  const clamped = Math.min(day, lengths[m - 1]!);
  return `${y}-${String(m).padStart(2, '0')}-${String(clamped).padStart(2, '0')}`;
}

const step = fc.record({ months: fc.integer({ min: 1, max: 14 }), when: fc.double({ min: 0, max: 1, noNaN: true }) });
const start = fc.integer({ min: Date.UTC(2019, 0), max: Date.UTC(2030, 0) });

/** Random purchases and renewals through ten years: each bought at some moment before the reclaim. */
function walk(purchasedAtMs: number, zone: string, steps: readonly { months: number; when: number }[]) {
  const stretches: (Stretch & { boughtAtMs: number })[] = [];
  let monthsPaid = 0;
  let nowMs = purchasedAtMs;
  for (const { months, when } of steps) {
    const last = stretches.at(-1);
    if (last !== undefined) nowMs += Math.floor((last.reclaimAtMs - 1 - nowMs) * when);
    if (nowMs > purchasedAtMs + 10 * 366 * DAY_MS) break;
    stretches.push({ ...nextStretch({ purchasedAtMs, monthsPaid, zone }, months), boughtAtMs: nowMs });
    monthsPaid += months;
  }
  return stretches;
}

describe('ten years of purchases and renewals', () => {
  test('no gap, no overlap, no free day, expiry always at 12:00 of the day after the expiry day', () => {
    const zones = fc.constantFrom(...ZONES, ...ODD_ZONES);
    fc.assert(
      fc.property(start, zones, fc.array(step, { minLength: 1, maxLength: 40 }), (purchasedAtMs, zone, steps) => {
        const stretches = walk(purchasedAtMs, zone, steps);
        const first = wallClock(purchasedAtMs, zone).toPlainDate().toString();
        let endMs = purchasedAtMs;
        let months = 0;
        for (const [index, stretch] of stretches.entries()) {
          months += steps[index]!.months;
          expect(stretch.fromMs).toBe(endMs);
          expect(stretch.toMs).toBeGreaterThan(stretch.fromMs);
          expect(stretch.expiryDay).toBe(onPaper(first, months));
          const expires = wallClock(stretch.expiresAtMs, zone);
          expect([expires.hour, expires.minute, expires.second, expires.millisecond]).toEqual([12, 0, 0, 0]);
          expect(expires.toPlainDate().subtract({ days: 1 }).toString()).toBe(stretch.expiryDay);
          expect(expiryDayOf(stretch.expiresAtMs, zone)).toBe(stretch.expiryDay);
          expect(stretch.reclaimAtMs - stretch.expiresAtMs).toBe(DAY_MS);
          endMs = stretch.toMs;
        }
      }),
      { numRuns: 150 },
    );
  });

  test('it makes no difference whether months are bought one by one or at once, early or late', () => {
    const zones = fc.constantFrom(...ZONES);
    fc.assert(
      fc.property(start, zones, fc.array(step, { minLength: 1, maxLength: 12 }), (purchasedAtMs, zone, steps) => {
        const months = steps.reduce((sum, one) => sum + one.months, 0);
        const all = nextStretch({ purchasedAtMs, monthsPaid: 0, zone }, months);
        let monthsPaid = 0;
        for (const one of steps) {
          const stretch = nextStretch({ purchasedAtMs, monthsPaid, zone }, one.months);
          monthsPaid += one.months;
          if (monthsPaid === months) expect(stretch.toMs).toBe(all.toMs);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('what happens to a term, in order', () => {
  test('seven reminders, four tries to renew, expiry, reclaim, then nothing', () => {
    fc.assert(
      fc.property(start, fc.constantFrom(...ZONES, ...ODD_ZONES), (purchasedAtMs, zone) => {
        const term = { ...nextStretch({ purchasedAtMs, monthsPaid: 0, zone }, 1), zone };
        const seen: string[] = [];
        let atMs = purchasedAtMs;
        for (let next = nextTermEvents(term, atMs); next !== null; next = nextTermEvents(term, atMs)) {
          expect(next.atMs).toBeGreaterThan(atMs);
          if (!next.events.includes('reclaim')) expect(wallClock(next.atMs, zone).hour).toBe(12);
          seen.push(...next.events);
          atMs = next.atMs;
        }
        const count = (kind: string) => seen.filter((one) => one === kind).length;
        expect([count('remind'), count('auto_renew'), seen.at(-2), seen.at(-1)]).toEqual([7, 4, 'expire', 'reclaim']);
        expect(seen.indexOf('auto_renew')).toBeLessThan(seen.indexOf('expire'));
        expect(atMs).toBe(term.reclaimAtMs);
      }),
      { numRuns: 60 },
    );
  });

  test('auto-renewal is locked on the last day: 13 May 12:00 to 14 May 12:00', () => {
    const zone = 'Asia/Shanghai';
    const purchasedAtMs = Date.parse('2026-04-13T09:00+08:00');
    const term = nextStretch({ purchasedAtMs, monthsPaid: 0, zone }, 1);
    const lock = autoRenewLock({ ...term, zone });
    expect(lock).toEqual({ fromMs: Date.parse('2026-05-13T12:00+08:00'), toMs: Date.parse('2026-05-14T12:00+08:00') });
  });
});

test('midnight comes strictly after, in zones that skip it too', () => {
  fc.assert(
    fc.property(start, fc.constantFrom(...ZONES, ...ODD_ZONES), (atMs, zone) => {
      const midnight = nextMidnightMs(atMs, zone);
      expect(midnight).toBeGreaterThan(atMs);
      expect(midnight - atMs).toBeLessThanOrEqual(25 * 3_600_000);
      const day = (ms: number) => wallClock(ms, zone).toPlainDate().toString();
      expect(day(midnight - 1)).toBe(day(atMs));
      expect(day(midnight)).not.toBe(day(atMs));
    }),
  );
});

test('months of a zone follow one another', () => {
  const april = monthOf('2026-04', 'Europe/Lisbon');
  expect(monthOf('2026-05', 'Europe/Lisbon').fromMs).toBe(april.toMs);
  expect(april).toEqual({ fromMs: Date.parse('2026-03-31T23:00Z'), toMs: Date.parse('2026-04-30T23:00Z') });
  expect(() => monthOf('2026-13', 'UTC')).toThrow(RangeError);
});

test.each([0, -1, 1.5, Number.NaN])('%d months buy nothing', (months) => {
  expect(() => nextStretch({ purchasedAtMs: 0, monthsPaid: 2, zone: 'UTC' }, months)).toThrow(RangeError);
});
