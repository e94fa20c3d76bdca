import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { summarise } from './figures.ts';
import { answered } from './fixture.ts';
import { Histogram } from './histogram.ts';
import { afterProbe, nextRate, RAMP_START, type RampLimits } from './ramp.ts';
import type { RequestRecord } from './record.ts';
import { meetsAt, missedBy, rampVerdict } from './verdict.ts';

const LIMITS: RampLimits = { startPerS: 1, minPerS: 1 / 64, maxPerS: 1000, probesMax: 40, precision: 1.1 };

/** Searches a server that meets the SLO up to `capacity`. */
function search(capacity: number, limits = LIMITS) {
  let state = RAMP_START;
  for (let rate = nextRate(state, limits); rate !== null; rate = nextRate(state, limits)) {
    state = afterProbe(state, rate, rate <= capacity);
  }
  return state;
}

describe('the ramp', () => {
  it('ends within its precision of the capacity, wherever that is', () => {
    fc.assert(
      fc.property(fc.double({ min: 1 / 60, max: 990, noNaN: true }), (capacity) => {
        const { metPerS, missedPerS, probes } = search(capacity);
        expect(metPerS).toBeLessThanOrEqual(capacity);
        expect((metPerS as number) * 1.1 * 1.0001).toBeGreaterThanOrEqual(capacity);
        expect(missedPerS).toBeGreaterThan(capacity);
        expect(probes).toBeLessThan(20);
      }),
    );
  });

  it('stops at the lowest rate, at the highest, and when the probes are used up', () => {
    expect(search(0)).toMatchObject({ metPerS: null, missedPerS: 1 / 64 });
    expect(search(5000)).toMatchObject({ metPerS: 1000, missedPerS: null });
    expect(search(37, { ...LIMITS, probesMax: 4 })).toEqual({ metPerS: 8, missedPerS: null, probes: 4 });
  });
});

const SLO = { ttftMsMax: 150, tpotMsMax: 20 };
const summaryOf = (records: readonly RequestRecord[]) =>
  summarise(
    { startedAtMs: 0, endedBy: 'plan', sentMs: 1000, elapsedMs: 1000, records, itl: new Histogram(), inFlightPeak: 1 },
    SLO,
    0,
  );
const times = (count: number, record: RequestRecord) => Array<RequestRecord>(count).fill(record);

describe('its verdict', () => {
  it('asks for the percentile of each target, failed requests counting as missed', () => {
    const good = times(95, answered());
    expect(meetsAt(summaryOf([...good, ...times(5, answered({ ttftMs: 999 }))]), 95)).toBe(true);
    expect(meetsAt(summaryOf([...good, ...times(6, answered({ ttftMs: 999 }))]), 95)).toBe(false);
    expect(meetsAt(summaryOf([...good, ...times(6, answered({ error: 'silent' }))]), 95)).toBe(false);
    // Different requests may miss different targets.
    const mixed = [...good, ...times(3, answered({ ttftMs: 999 })), ...times(3, answered({ tpotMs: 99 }))];
    expect(meetsAt(summaryOf(mixed), 95)).toBe(true);
    expect(meetsAt(summaryOf([]), 95)).toBe(false);
  });

  it('says which figure was missed and by how much', () => {
    const bad = summaryOf([...times(1, answered()), ...times(3, answered({ ttftMs: 800 }))]);
    expect(missedBy(bad, SLO, 95)).toBe('TTFT within 150 ms for 25.0 %, not 95 % (p95 800 ms)');
    const options = { percentile: 95, precision: 1.1, interrupted: false };
    const probes = [{ ratePerS: 0.5, met: false, summary: bad }];
    expect(rampVerdict({ metPerS: null, missedPerS: 0.5, probes: 1 }, probes, SLO, options)).toBe(
      'Not met even at 0.500 requests/s: TTFT within 150 ms for 25.0 %, not 95 % (p95 800 ms).',
    );
    expect(rampVerdict({ metPerS: 0.48, missedPerS: 0.5, probes: 2 }, probes, SLO, options)).toMatch(
      /^Met at 0.480 requests\/s; missed at 0.500: TTFT/,
    );
    expect(rampVerdict({ metPerS: 8, missedPerS: null, probes: 4 }, [], SLO, options)).toMatch(
      /highest that was tried/,
    );
    expect(rampVerdict(RAMP_START, [], SLO, { ...options, interrupted: true })).toMatch(/No rate was probed. Interr/);
  });
});
