import { describe, expect, it } from 'vitest';
import { backsOffUntilMs, type EndedUnit, failuresInARow, WELL_MS } from './backoff.ts';

const failed = (ended: number, ready: number | null = null): EndedUnit => ({
  state: 'failed',
  ready_at_ms: ready,
  ended_at_ms: ended,
});
const released = (ended: number, ready: number | null): EndedUnit => ({ ...failed(ended, ready), state: 'released' });

describe('back-off', () => {
  it('doubles from 10 s to 5 minutes with failures in a row', () => {
    const waits = [1, 2, 3, 4, 5, 6, 7].map((count) => backsOffUntilMs(Array.from({ length: count }, () => failed(0))));
    expect(waits).toEqual([10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000]);
    expect(backsOffUntilMs([])).toBe(0);
  });

  it('takes a unit that was ready for a moment for one that failed, and one that ran well for none', () => {
    expect(failuresInARow([failed(20_000, 10_000), failed(5_000)])).toBe(2);
    expect(failuresInARow([failed(WELL_MS + 10_000, 10_000), failed(5_000)])).toBe(0);
    expect(failuresInARow([failed(9), released(8, 1), failed(5)])).toBe(1);
  });

  it('learns nothing from starts that were cancelled or are under way', () => {
    const starting = { state: 'starting', ready_at_ms: null, ended_at_ms: null } as const;
    expect(failuresInARow([starting, released(8, null), failed(7), failed(6)])).toBe(2);
    expect(backsOffUntilMs([starting, failed(7)])).toBe(10_007);
  });
});
