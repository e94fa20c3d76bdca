import { describe, expect, it } from 'vitest';
import { arrivalsAlong, arrivalsWithin } from './arrivals.ts';
import { gamma, seededRandom } from './random.ts';

const HOUR_MS = 3_600_000;

function cvOf(times: readonly number[]): number {
  const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
  const mean = gaps.reduce((a, b) => a + b, 0) / gaps.length;
  return Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length) / mean;
}

describe('arrivals', () => {
  it('constant ones come at equal distances from 0', () => {
    expect(arrivalsWithin({ kind: 'constant', ratePerS: 4 }, 1000, seededRandom(1))).toEqual([0, 250, 500, 750]);
  });

  it.each([
    [{ kind: 'poisson', ratePerS: 10 } as const, 1],
    [{ kind: 'gamma', ratePerS: 10, cv: 3 } as const, 3],
    [{ kind: 'gamma', ratePerS: 10, cv: 0.3 } as const, 0.3],
    [{ kind: 'weibull', ratePerS: 10, cv: 2 } as const, 2],
  ])('%o keeps its rate and its burstiness', (arrivals, cv) => {
    const times = arrivalsWithin(arrivals, HOUR_MS, seededRandom(11));
    expect(times.length / 36_000).toBeGreaterThan(0.95);
    expect(times.length / 36_000).toBeLessThan(1.05);
    expect(cvOf(times) / cv).toBeGreaterThan(0.93);
    expect(cvOf(times) / cv).toBeLessThan(1.07);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(times).toEqual(arrivalsWithin(arrivals, HOUR_MS, seededRandom(11)));
  });

  it('short stretches of a bursty process get their number too', () => {
    // Started at a burst, windows of 10 gaps at cv 4 would hold 17 on average.
    let total = 0;
    for (let seed = 0; seed < 4000; seed += 1) {
      total += arrivalsWithin({ kind: 'gamma', ratePerS: 1, cv: 4 }, 10_000, seededRandom(seed)).length;
    }
    expect(total / 4000).toBeGreaterThan(9);
    expect(total / 4000).toBeLessThan(11);
  });

  it('follows a rate that changes, and leaves silent stretches silent', () => {
    const random = seededRandom(2);
    const gap = () => gamma(1, random);
    const times = [
      ...arrivalsAlong([
        { fromMs: 0, untilMs: HOUR_MS, ratePerS: 1, gap },
        { fromMs: HOUR_MS, untilMs: 2 * HOUR_MS, ratePerS: 0, gap },
        { fromMs: 2 * HOUR_MS, untilMs: 3 * HOUR_MS, ratePerS: 4, gap },
      ]),
    ];
    const within = (from: number, until: number) => times.filter((time) => time >= from && time < until).length;
    expect(within(0, HOUR_MS)).toBeGreaterThan(3300);
    expect(within(0, HOUR_MS)).toBeLessThan(3900);
    expect(within(HOUR_MS, 2 * HOUR_MS)).toBe(0);
    expect(within(2 * HOUR_MS, 3 * HOUR_MS)).toBeGreaterThan(13_900);
    expect(within(2 * HOUR_MS, 3 * HOUR_MS)).toBeLessThan(14_900);
    expect(times.every((time) => time < 3 * HOUR_MS)).toBe(true);
  });
});
