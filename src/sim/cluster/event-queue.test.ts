import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventQueue } from './event-queue.ts';
import { LogHistogram } from './log-histogram.ts';

describe('EventQueue', () => {
  it('gives events by time, then kind, then order of coming', () => {
    const event = fc.record({ atMs: fc.nat(5), kind: fc.nat(3) });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const queue = new EventQueue();
        for (const [index, { atMs, kind }] of events.entries()) queue.put(atMs, kind, index);
        const taken = events.map(() => queue.take()!.target);
        const sorted = events
          .map((_, index) => index)
          .sort((a, b) => events[a]!.atMs - events[b]!.atMs || events[a]!.kind - events[b]!.kind || a - b);
        expect(taken).toEqual(sorted);
        expect(queue.take()).toBeUndefined();
      }),
    );
  });
});

describe('LogHistogram', () => {
  it('is exact in the mean and within 0.6 % in quantiles', () => {
    const values = fc.array(
      fc.integer({ min: 1, max: 10_000_000 }).map((n) => n / 100),
      { minLength: 1, maxLength: 200 },
    );
    fc.assert(
      fc.property(values, (list) => {
        const histogram = new LogHistogram();
        for (const value of list) histogram.add(value);
        const sorted = list.toSorted((a, b) => a - b);
        const { mean, p95 } = histogram.distribution()!;
        expect(mean).toBeCloseTo(list.reduce((sum, value) => sum + value, 0) / list.length, 6);
        const exact = sorted[Math.ceil(0.95 * list.length) - 1]!;
        expect(Math.abs(p95 / exact - 1)).toBeLessThan(0.006);
      }),
    );
    expect(new LogHistogram().distribution()).toBeNull();
  });
});
