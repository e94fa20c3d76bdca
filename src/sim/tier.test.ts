import { describe, expect, it } from 'vitest';
import { coefficientsOf, totalUs, workOf } from '../core/serving/work.ts';
import type { EngineConfig } from './engine.ts';
import { ratedRequestsPerS, tierLatency, type UnitEngines } from './tier.ts';

const engine: EngineConfig = {
  step: { tau0Us: 6_500, tau1Us: 30, tau2Us: 0.001, tau3Us: 40, tau4Us: 0.05, tau5Us: 0 },
  prefillFixedUs: 6_000,
  sequencesMax: 32,
  stepTokensMax: 2_048,
  kvTokens: 400_000,
  blockTokens: 16,
  prefixCaching: false,
  asyncScheduling: true,
};
const single: UnitEngines = engine;
const apart: UnitEngines = {
  prefill: { ...engine, step: { ...engine.step, tau0Us: 0 } },
  decode: { ...engine, prefillFixedUs: 0, step: { ...engine.step, tau1Us: 0, tau2Us: 0 }, prefixCaching: true },
};
const shape = { promptTokens: 2_000, outputTokens: 200 };
const work = workOf(coefficientsOf(engine.step, engine.prefillFixedUs, 32), { ...shape, cachedTokens: 0 });

describe('ratedRequestsPerS', () => {
  it('is what work says: one unit-second of it a second', () => {
    expect(ratedRequestsPerS(single, shape) / (1e6 / totalUs(work))).toBeCloseTo(1, 1);
  });

  it('is that of the slower of prefill and decode where they are apart', () => {
    const slower = Math.max(work.prefillUs, work.decodeUs);
    expect(ratedRequestsPerS(apart, shape) / (1e6 / slower)).toBeCloseTo(1, 1);
  });

  it('meets the targets it is given, and no more', () => {
    const slo = { ttftMs: 100, tpotMs: 14 };
    const short = { promptTokens: 500, outputTokens: 20 };
    const rate = ratedRequestsPerS(single, short, slo);
    const { tpotMs, ttftMs } = tierLatency(single, short, rate, 1);
    expect(ttftMs.p95).toBeLessThanOrEqual(slo.ttftMs);
    expect(tpotMs?.p95).toBeLessThanOrEqual(slo.tpotMs);
    const above = tierLatency(single, short, rate * 1.02, 1);
    expect(above.ttftMs.p95 > slo.ttftMs || above.tpotMs!.p95 > slo.tpotMs).toBe(true);
    expect(ratedRequestsPerS(single, short, { ttftMs: 1 })).toBe(0);
  });
});

describe('tierLatency', () => {
  it('is the same for the same seed, and rises with the load', () => {
    const rated = ratedRequestsPerS(single, shape);
    const at = (share: number) => tierLatency(single, shape, rated * share, 7);
    expect(at(0.5)).toEqual(at(0.5));
    expect(at(0.9).ttftMs.p95).toBeGreaterThan(at(0.3).ttftMs.p95);
    expect(at(0.9).tpotMs!.p50).toBeGreaterThan(at(0.3).tpotMs!.p50);
    expect(at(0.9).running).toBeGreaterThan(at(0.3).running);
  });

  it('is that of one request alone where hardly any come', () => {
    const { running, tpotMs, ttftMs } = tierLatency(single, shape, 0.01, 1);
    const aloneMs = (6_500 + 6_000 + 30 * 2_000 + (0.001 * 2_000 * 2_001) / 2) / 1000;
    expect(ttftMs.p50).toBeCloseTo(aloneMs, 3);
    expect(tpotMs!.p50).toBeCloseTo((6_500 + 40 + 0.05 * 2_100) / 1000, 2);
    // A request of 1.4 s every 100 s.
    expect(running).toBeGreaterThan(0.01);
    expect(running).toBeLessThan(0.02);
  });

  it('has no time per output token where one is all there is', () => {
    for (const unit of [single, apart]) {
      expect(tierLatency(unit, { promptTokens: 100, outputTokens: 1 }, 1, 1).tpotMs).toBeNull();
    }
  });

  it('decodes undisturbed by prefill where they are apart', () => {
    const rate = ratedRequestsPerS(apart, shape) * 0.8;
    const { p50, p95 } = tierLatency(apart, shape, rate, 1).tpotMs!;
    expect(p95 / p50).toBeLessThan(1.1);
  });
});
