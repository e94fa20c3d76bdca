import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csvOf } from './csv.ts';
import { meetsSlo, summarise } from './figures.ts';
import { answered } from './fixture.ts';
import { Histogram } from './histogram.ts';
import type { RequestRecord } from './record.ts';
import type { RunResult } from './run.ts';
import { percentilesOf, quantileOf, wilson } from './statistics.ts';
import { timelineOf } from './timeline.ts';

function run(records: readonly RequestRecord[], changes: Partial<RunResult> = {}): RunResult {
  const itl = new Histogram();
  return {
    startedAtMs: 0,
    endedBy: 'plan',
    sentMs: 10_000,
    elapsedMs: 12_000,
    records,
    itl,
    inFlightPeak: 1,
    ...changes,
  };
}
const SLO = { ttftMsMax: 150, tpotMsMax: 20 };

describe('statistics', () => {
  it('quantiles are values that were seen, and no more than the share lies below', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 99 }), { minLength: 1 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (values, share) => {
          const sorted = values.toSorted((a, b) => a - b);
          const value = quantileOf(sorted, share);
          expect(sorted).toContain(value);
          expect(sorted.filter((other) => other <= value).length / sorted.length).toBeGreaterThanOrEqual(share - 1e-9);
          expect(sorted.filter((other) => other < value).length / sorted.length).toBeLessThan(share + 1e-9);
        },
      ),
    );
    expect(percentilesOf([])).toBeNull();
    expect(percentilesOf([3, 1, 2])).toMatchObject({ count: 3, mean: 2, p50: 2, p99: 3, max: 3 });
  });

  it('the interval of a share holds it and narrows with the count', () => {
    const [low, high] = wilson(95, 100);
    // Wilson's interval of 95 in 100: 88.8 % to 97.8 %.
    expect(low).toBeCloseTo(0.888, 3);
    expect(high).toBeCloseTo(0.978, 3);
    expect(wilson(950, 1000)[0]).toBeGreaterThan(low);
    expect(wilson(0, 0)).toEqual([0, 1]);
    expect(wilson(5, 5)[1]).toBe(1);
  });

  it('a histogram keeps quantiles within 2 %, whatever the values', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.02, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }),
        (values) => {
          const histogram = new Histogram();
          for (const value of values) histogram.add(value);
          const sorted = values.toSorted((a, b) => a - b);
          for (const share of [0.5, 0.95, 1]) {
            const exact = quantileOf(sorted, share);
            expect(histogram.quantileMs(share) / exact).toBeGreaterThan(0.98);
            expect(histogram.quantileMs(share) / exact).toBeLessThan(1.0201);
          }
          expect(histogram.bins().reduce((sum, bin) => sum + bin.count, 0)).toBe(values.length);
        },
      ),
    );
    expect(new Histogram().quantileMs(0.5)).toBe(0);
  });
});

describe('a summary', () => {
  it('leaves out the warm-up and what was cancelled, and counts failures by status and code', () => {
    const summary = summarise(
      run([
        answered({ warmUp: true, ttftMs: 9999 }),
        answered(),
        answered({ error: 'cancelled', ttftMs: null }),
        answered({ error: 'model_units_exhausted', status: 429, ttftMs: null, tpotMs: null, retryAfterMs: 500 }),
        answered({ error: 'econnrefused', status: 0, ttftMs: null, tpotMs: null }),
      ]),
      SLO,
      0,
    );
    expect(summary).toMatchObject({ sent: 5, warmUp: 1, cancelled: 1, counted: 3, ok: 1, promptTokens: 20 });
    expect(summary.errors).toEqual({ '429 model_units_exhausted': 1, econnrefused: 1 });
    expect(summary.ttftMs).toMatchObject({ count: 1, max: 100 });
    expect(summary.retryAfterMs?.p50).toBe(500);
    expect(summary.cachedShare).toBe(0.25);
    expect(summary.promptRatio).toBe(2);
    expect(summary.goodput).toMatchObject({ share: 1 / 3, requestsPerS: 0.1 });
  });

  it('rates are of what was delivered in the window, whichever request it was of', () => {
    const records = [
      // Ends in the warm-up; half of its tokens come in the window; all of them; none.
      answered({ dueAtMs: 0, ttftMs: 100, e2eMs: 900, warmUp: true }),
      answered({ dueAtMs: 500, ttftMs: 250, e2eMs: 750, warmUp: true }),
      answered({ dueAtMs: 2000 }),
      answered({ dueAtMs: 9950 }),
    ];
    const summary = summarise(run(records, { sentMs: 10_000 }), SLO, 1000);
    expect(summary.windowMs).toBe(9000);
    expect(summary.offeredPerS).toBeCloseTo(2 / 9, 9);
    expect(summary.completedPerS).toBeCloseTo(2 / 9, 9);
    expect(summary.outputTokensPerS).toBeCloseTo((11 * 0.5 + 11) / 9, 9);
  });

  it('adds up work of receipts, and has none without', () => {
    const receipts = [
      answered({ estimatedUs: 150, actualUs: 100 }),
      answered({ estimatedUs: 50, actualUs: 100 }),
      answered(),
    ];
    expect(summarise(run(receipts), SLO, 0).work).toEqual({ receipts: 2, estimatedUs: 200, actualUs: 200 });
    expect(summarise(run([answered()]), SLO, 0).work).toBeNull();
    expect(summarise(run([answered()]), { ttftMsMax: null, tpotMsMax: null }, 0).goodput).toBeNull();
  });

  it('says what a reader has to know', () => {
    const text = (records: readonly RequestRecord[], changes: Partial<RunResult> = {}) =>
      summarise(run(records, changes), SLO, 0).notes.join('\n');
    expect(text([answered()])).toBe('');
    expect(text([answered({ usage: 'missing' })])).toMatch(/^1 answers without usage/);
    expect(text([answered({ usage: 'wrong' })])).toMatch(/usage cannot be/);
    expect(text([answered({ done: false })])).toMatch(/without \[DONE\]/);
    expect(text([answered({ streamed: false })])).toMatch(/came whole/);
    expect(text([answered({ lagMs: 50 })])).toMatch(/client itself was late/);
    expect(text([answered({ error: 'in_flight_limit', status: 0 })])).toMatch(/too many were in flight/);
    expect(text([answered({ error: 'unfinished', status: 0 })])).toMatch(/no end within --drain/);
    expect(text([answered({ warmUp: true })])).toMatch(/nothing is counted/);
    expect(text([answered()], { endedBy: 'interrupted' })).toMatch(/Interrupted/);
    expect(text([answered()], { endedBy: 'unreachable' })).toMatch(/stopped taking connections/);
  });

  it('judges by the target: an answer of one token by its TTFT, a failed one never', () => {
    expect(meetsSlo(answered(), SLO)).toBe(true);
    expect(meetsSlo(answered({ ttftMs: 151 }), SLO)).toBe(false);
    expect(meetsSlo(answered({ tpotMs: 21 }), SLO)).toBe(false);
    expect(meetsSlo(answered({ tpotMs: null }), SLO)).toBe(true);
    expect(meetsSlo(answered({ error: 'stream_cut' }), SLO)).toBe(false);
    expect(meetsSlo(answered({ ttftMs: null }), SLO)).toBe(false);
  });
});

describe('the outputs', () => {
  it('CSV has a row a request in order, quoted where it has to be', () => {
    const records = [
      answered({ index: 1 }),
      answered({ index: 0, error: 'odd, "code"', ttftMs: null, usage: 'wrong' }),
    ];
    const [head, first, second, rest] = csvOf(records, SLO).split('\n');
    expect(head?.split(',')).toHaveLength(21);
    expect(first).toBe('0,0,0,false,200,"odd, ""code""",,10,200,false,10,20,5,11,11,11,wrong,,,,');
    expect(second).toBe('1,0,0,false,200,,100,10,200,true,10,20,5,11,11,11,stated,,,,');
    expect(rest).toBe('');
  });

  it('the timeline loses no request and no token', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ dueAtMs: fc.nat(9000), ttftMs: fc.nat(900), ms: fc.nat(900), failed: fc.boolean() }), {
          minLength: 1,
        }),
        (rows) => {
          const records = rows.map(({ dueAtMs, ttftMs, ms, failed }) =>
            answered({ dueAtMs, ttftMs, e2eMs: ttftMs + ms, error: failed ? 'silent' : null }),
          );
          const points = timelineOf(records, 12_000);
          const widthS = 12 / points.length;
          const sum = (pick: (point: (typeof points)[number]) => number) =>
            points.reduce((total, point) => total + pick(point) * widthS, 0);
          expect(sum((point) => point.duePerS)).toBeCloseTo(rows.length, 6);
          expect(sum((point) => point.completedPerS + point.failedPerS)).toBeCloseTo(rows.length, 6);
          expect(sum((point) => point.outputTokensPerS)).toBeCloseTo(11 * rows.length, 6);
          expect(points.at(-1)?.running).toBe(0);
        },
      ),
    );
  });
});
