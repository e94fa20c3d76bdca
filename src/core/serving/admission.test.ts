import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Admission, type Estimate, type Reservation } from './admission.ts';
import { burstWindowS, capacityUs } from './bucket.ts';
import { totalUs } from './work.ts';

const LIMITS = { readyUnits: 1, batchPerUnit: 4, kvTokensPerUnit: 1_000 };

function estimate(workUs: number, kvTokens = 10, sequences = 1): Estimate {
  return {
    work: { prefillUs: Math.floor(workUs / 4), decodeUs: workUs - Math.floor(workUs / 4) },
    kvTokens,
    outputTokens: 10,
    sequences,
  };
}

describe('pools apart', () => {
  const apart = () => new Admission({ ...LIMITS, batchPerUnit: 100, poolsApart: true }, 0);
  const of = (prefillUs: number, decodeUs: number): Estimate => ({
    work: { prefillUs, decodeUs },
    kvTokens: 10,
    outputTokens: 5,
    sequences: 1,
  });

  it('each fills by its own part of the work, and the fuller one decides', () => {
    const admission = apart();
    admission.reserve(of(25e6, 1e6), 0);
    expect(admission.view(0)).toMatchObject({ levelUs: 25e6, capacityUs: 30e6 });
    expect(admission.fit(of(1e6, 28e6), 0)).toEqual({ fits: true });
    expect(admission.fit(of(6e6, 1e6), 0)).toEqual({ fits: false, because: 'bucket', waitMs: 1_000 });
    expect(admission.fit(of(1e6, 30e6), 0)).toEqual({ fits: false, because: 'bucket', waitMs: 1_000 });
  });

  it('settles each by what it took', () => {
    const admission = apart();
    const held = admission.reserve(of(10e6, 20e6), 0);
    admission.settle(held, { prefillUs: 4e6, decodeUs: 8e6 }, 0);
    expect(admission.view(0)).toMatchObject({ levelUs: 8e6, settledUs: 12e6, returnedUs: 18e6, outstandingUs: 0 });
    expect(admission.fit(of(26e6, 22e6), 0)).toEqual({ fits: true });
    expect(admission.fit(of(26e6 + 1, 1), 0).fits).toBe(false);
  });
});

describe('contract bucket', () => {
  it('bursts longer with few units and never shorter than 5 s', () => {
    expect(burstWindowS(1)).toBe(30);
    expect(burstWindowS(4)).toBe(15);
    expect(burstWindowS(10_000)).toBe(5);
    expect(capacityUs(4)).toBe(4 * 1e6 * 15);
    expect(capacityUs(0)).toBe(0);
  });

  it('admits up to the capacity, then says when the next one fits', () => {
    const admission = new Admission({ ...LIMITS, batchPerUnit: 100 }, 0);
    for (let i = 0; i < 3; i += 1) {
      expect(admission.fit(estimate(10e6), 0)).toEqual({ fits: true });
      admission.reserve(estimate(10e6), 0);
    }
    expect(admission.fit(estimate(10e6), 0)).toEqual({ fits: false, because: 'bucket', waitMs: 10_000 });
    expect(admission.fit(estimate(10e6), 9_999)).toMatchObject({ fits: false, waitMs: 1 });
    expect(admission.fit(estimate(10e6), 10_000)).toEqual({ fits: true });
    expect(admission.fit(estimate(10e6), 10_000, 5e6)).toMatchObject({ because: 'bucket', waitMs: 5_000 });
  });

  it('lets an oversize request in when the bucket is empty', () => {
    const admission = new Admission(LIMITS, 0);
    const held = admission.reserve(estimate(1e6), 0);
    admission.settle(held, held.work, 0);
    expect(admission.fit(estimate(500e6), 0)).toEqual({ fits: false, because: 'bucket', waitMs: 1_000 });
    expect(admission.fit(estimate(500e6), 1_000)).toEqual({ fits: true });
  });

  it('follows units on the way: time before counts at the old rate, zero units admit nothing', () => {
    const admission = new Admission({ ...LIMITS, readyUnits: 2 }, 0);
    admission.reserve(estimate(20e6), 0);
    admission.setLimits({ ...LIMITS, readyUnits: 1 }, 5_000);
    expect(admission.view(5_000).levelUs).toBe(10e6);
    expect(admission.view(7_000).levelUs).toBe(8e6);
    admission.setLimits({ ...LIMITS, readyUnits: 0 }, 7_000);
    expect(admission.view(60_000).levelUs).toBe(8e6);
    expect(admission.fit(estimate(1), 60_000)).toMatchObject({ fits: false, because: 'units' });
  });

  it('ignores a clock that goes back', () => {
    const admission = new Admission(LIMITS, 10_000);
    admission.reserve(estimate(5e6), 10_000);
    expect(admission.view(2_000).levelUs).toBe(5e6);
    admission.reserve(estimate(1e6), 3_000);
    expect(admission.view(10_000).levelUs).toBe(6e6);
    expect(admission.view(11_000).levelUs).toBe(5e6);
  });
});

describe('engine guard', () => {
  it('keeps running sequences and KV tokens inside the ready units', () => {
    const admission = new Admission(LIMITS, 0);
    admission.reserve(estimate(1_000, 10, 3), 0);
    expect(admission.fit(estimate(1_000, 10, 2), 0)).toMatchObject({ fits: false, because: 'batch' });
    expect(admission.fit(estimate(1_000, 991, 1), 0)).toMatchObject({ fits: false, because: 'kv' });
    expect(admission.fit(estimate(1_000, 990, 1), 0)).toEqual({ fits: true });
  });

  it('lets an idle engine take what is larger than a batch', () => {
    expect(new Admission(LIMITS, 0).fit(estimate(1_000, 5_000, 9), 0)).toEqual({ fits: true });
  });
});

describe('reservation', () => {
  it('settles exactly once and cannot grow afterwards', () => {
    const admission = new Admission(LIMITS, 0);
    const held = admission.reserve(estimate(1_000), 0);
    admission.settle(held, { prefillUs: 1, decodeUs: 1 }, 0);
    expect(() => admission.settle(held, held.work, 0)).toThrow('once');
    expect(() => admission.extend(held, held.work, 1, 0)).toThrow('settled');
  });

  // Model test: any sequence of reserve, extend, settle, unit changes and clock moves (also back) conserves work.
  it('conserves work under any sequence of events', () => {
    const amount = fc.integer({ min: 0, max: 50_000_000 });
    const event = fc.oneof(
      fc.record({ kind: fc.constant('reserve' as const), us: amount }),
      fc.record({ kind: fc.constant('extend' as const), at: fc.nat(), us: amount }),
      fc.record({ kind: fc.constant('settle' as const), at: fc.nat(), us: amount }),
      fc.record({ kind: fc.constant('move' as const), ms: fc.integer({ min: -5_000, max: 20_000 }) }),
      fc.record({ kind: fc.constant('units' as const), units: fc.integer({ min: 0, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 80 }), (events) => {
        let nowMs = 1_000;
        const admission = new Admission(LIMITS, nowMs);
        const open: Reservation[] = [];
        const known = { reserved: 0, settled: 0 };
        for (const e of events) {
          if (e.kind === 'move') nowMs += e.ms;
          if (e.kind === 'units') admission.setLimits({ ...LIMITS, readyUnits: e.units }, nowMs);
          if (e.kind === 'reserve') {
            open.push(admission.reserve(estimate(e.us), nowMs));
            known.reserved += e.us;
          }
          if (e.kind === 'extend' && open.length > 0) {
            admission.extend(open[e.at % open.length]!, { prefillUs: 0, decodeUs: e.us }, 1, nowMs);
            known.reserved += e.us;
          }
          if (e.kind === 'settle' && open.length > 0) {
            const [held] = open.splice(e.at % open.length, 1);
            known.reserved += Math.max(0, e.us - totalUs(held!.work));
            known.settled += e.us;
            admission.settle(held!, { prefillUs: 0, decodeUs: e.us }, nowMs);
          }
          const view = admission.view(nowMs);
          expect(view.reservedUs).toBe(known.reserved);
          expect(view.settledUs).toBe(known.settled);
          expect(view.reservedUs).toBe(view.settledUs + view.returnedUs + view.outstandingUs);
          expect(view.outstandingUs).toBe(open.reduce((sum, held) => sum + totalUs(held.work), 0));
          expect(view.running).toBe(open.length);
          expect(view.levelUs).toBeGreaterThanOrEqual(0);
        }
        for (const held of open) admission.settle(held, held.work, nowMs);
        admission.setLimits({ ...LIMITS, readyUnits: 1 }, nowMs);
        const end = admission.view(nowMs + 1e9);
        expect(end).toMatchObject({ levelUs: 0, running: 0, kvTokens: 0, kvTokensLikely: 0, outstandingUs: 0 });
        expect(end.reservedUs).toBe(end.settledUs + end.returnedUs);
      }),
    );
  });

  it('what a wait promises holds: after waitMs the same estimate fits', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 60_000_000 }), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 200_000_000 }),
        fc.integer({ min: 1, max: 64 }),
        (held, ask, readyUnits) => {
          const admission = new Admission({ readyUnits, batchPerUnit: 1_000, kvTokensPerUnit: 1e9 }, 0);
          for (const us of held) admission.reserve(estimate(us), 0);
          const fit = admission.fit(estimate(ask), 0);
          if (fit.fits) return;
          expect(admission.fit(estimate(ask), fit.waitMs)).toEqual({ fits: true });
          if (fit.waitMs > 1) expect(admission.fit(estimate(ask), fit.waitMs - 1).fits).toBe(false);
        },
      ),
    );
  });
});
