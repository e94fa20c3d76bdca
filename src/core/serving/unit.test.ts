import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { UnitFacts } from './unit/load.ts';
import { mixOf } from './unit/mix.ts';
import { predictUnit, ratingOf } from './unit.ts';

/** Round figures of a small model on one accelerator: 6 ms of weights, 50 µs a prompt token. */
const UNIT: UnitFacts = {
  step: { tau0Us: 6_000, tau1Us: 50, tau2Us: 0.001, tau3Us: 50, tau4Us: 0.05, tau5Us: 0 },
  prefillFixedUs: 5_000,
  kvTokensPerUnit: 1_000_000,
  batch: 32,
  stepTokensMax: 8_192,
  disaggregated: false,
};
const CHAT = mixOf({ promptTokens: 1_000, cachedTokens: 0, outputTokens: 200 });

describe('a unit', () => {
  it('gives an idle request its own prefill and the time of steps for one', () => {
    const { ttftMs, tpotMs, utilisation } = predictUnit(UNIT, CHAT, 1e-6);
    // 5 + 50 × 1.000 + 0.001 × 1,000² ÷ 2 ÷ 1,000 = 55.5 ms of prefill, 6 ms of the step that carries it.
    expect(ttftMs?.p50).toBeCloseTo(61.5, 2);
    // 6,000 + 50 + 0.05 × (1,000 + 100) µs.
    expect(tpotMs?.p50).toBeCloseTo(6.105, 2);
    expect(utilisation).toBeLessThan(1e-5);
  });

  it('uses work over supply: by hand at one request a second', () => {
    // d1 = 6,000 ÷ 32 + 50 = 237.5; decode 237.5 × 200 + 0.05 × (1,000 × 200 + 200² ÷ 2) = 47,500 + 11,000; prefill 55,500.
    const { prefillUtilisation, decodeUtilisation, utilisation } = predictUnit(UNIT, CHAT, 1);
    expect([prefillUtilisation, decodeUtilisation]).toEqual([0.0555, 0.0585]);
    expect(utilisation).toBeCloseTo(0.114, 10);
    expect(ratingOf(UNIT, CHAT).requestsPerS).toBeCloseTo(1 / 0.114, 6);
    expect(ratingOf(UNIT, CHAT).tokensPerS).toBeCloseTo(1_200 / 0.114, 3);
  });

  it('is the slower the more comes, and gives no latencies beyond what it can do', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6_000 }),
        fc.integer({ min: 1, max: 600 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0.01, max: 0.97, noNaN: true }),
        (promptTokens, outputTokens, cached, load) => {
          const mix = mixOf({ promptTokens, cachedTokens: Math.floor(promptTokens * cached), outputTokens });
          const most = ratingOf(UNIT, mix).requestsPerS;
          const low = predictUnit(UNIT, mix, load * most * 0.5);
          const high = predictUnit(UNIT, mix, load * most);
          expect(high.utilisation).toBeCloseTo(load, 2);
          expect(high.saturated).toBe(false);
          for (const figure of ['ttftMs', 'tpotMs'] as const) {
            if (high[figure] === null) continue;
            expect(high[figure].p95).toBeGreaterThanOrEqual(high[figure].p50 * (1 - 1e-6));
            expect(high[figure].mean).toBeGreaterThanOrEqual((low[figure]?.mean ?? 0) * (1 - 1e-6));
          }
          const over = predictUnit(UNIT, mix, most * 1.01);
          expect([over.saturated, over.ttftMs, over.tpotMs]).toEqual([true, null, null]);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('gives finite figures for any step model, were parts of it nothing', () => {
    const us = (max: number) => fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max, noNaN: true }));
    const step = fc.record({
      ...{ tau0Us: us(50_000), tau1Us: us(1e4), tau2Us: us(5) },
      ...{ tau3Us: us(2e4), tau4Us: us(10), tau5Us: us(1) },
    });
    const rest = fc.record({
      step,
      prefillFixedUs: us(1e5),
      kvTokensPerUnit: fc.integer({ min: 1, max: 1_000_000 }),
      batch: fc.integer({ min: 1, max: 512 }),
      stepTokensMax: fc.integer({ min: 1, max: 8_192 }),
      disaggregated: fc.boolean(),
    });
    const lengths = fc.record({
      promptTokens: fc.integer({ min: 1, max: 5_000 }),
      cachedShare: fc.double({ min: 0, max: 1, noNaN: true }),
      outputTokens: fc.integer({ min: 1, max: 1_000 }),
    });
    fc.assert(
      fc.property(rest, lengths, fc.double({ min: 1e-9, max: 0.99, noNaN: true }), (unit, shape, load) => {
        const mix = mixOf(
          { ...shape, cachedTokens: shape.promptTokens * shape.cachedShare },
          { prompt: 1, output: 0.5 },
        );
        const { requestsPerS } = ratingOf(unit, mix);
        if (requestsPerS === Number.POSITIVE_INFINITY) return;
        const { running, saturated, tpotMs, ttftMs, waitShare } = predictUnit(unit, mix, requestsPerS * load);
        // Work knows nothing of what mixed steps cost on top.
        if (saturated) expect(unit.step.tau5Us).toBeGreaterThan(0);
        if (saturated) return;
        for (const figure of [running, waitShare, ttftMs?.p50, ttftMs?.p95, tpotMs?.p50 ?? 0, tpotMs?.mean ?? 0]) {
          expect(figure).toBeGreaterThanOrEqual(0);
          expect(figure).toBeLessThan(Number.POSITIVE_INFINITY);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('holds fewer sequences than its batch when the KV cache is small, and says so', () => {
    const small = { ...UNIT, kvTokensPerUnit: 6_000 };
    expect(ratingOf(small, CHAT)).toMatchObject({ concurrencyMax: 5, limit: 'kv' });
    expect(ratingOf(UNIT, CHAT)).toMatchObject({ concurrencyMax: 32, limit: 'work' });
    expect(ratingOf({ ...UNIT, batch: 2 }, CHAT).limit).toBe('batch');
  });

  it('of two pools is as busy as the busier, and prefill waits as M/G/1 says', () => {
    const apart = { ...UNIT, disaggregated: true };
    const { utilisation, ttftMs, tpotMs } = predictUnit(apart, CHAT, 10);
    expect(utilisation).toBeCloseTo(0.585, 6);
    // λx ÷ 2(1 − ρ) × x + x with x = 55.5 ms, ρ = 0.555.
    expect(ttftMs?.mean).toBeCloseTo(55.5 + (0.555 * 55.5) / (2 * 0.445), 3);
    expect(tpotMs?.mean).toBeLessThan(predictUnit(UNIT, CHAT, 5).tpotMs?.mean ?? 0);
  });

  it('has no time per token when answers are one token long', () => {
    expect(predictUnit(UNIT, mixOf({ promptTokens: 100, cachedTokens: 0, outputTokens: 1 }), 1).tpotMs).toBeNull();
  });

  it.each([
    ['nothing', []],
    ['negative lengths', [{ promptTokens: -1, cachedTokens: 0, outputTokens: 5, weight: 1 }]],
    ['more cached than there is', [{ promptTokens: 5, cachedTokens: 6, outputTokens: 5, weight: 1 }]],
    ['no tokens', [{ promptTokens: 0, cachedTokens: 0, outputTokens: 0, weight: 1 }]],
    ['what overflows', [{ promptTokens: 1e300, cachedTokens: 0, outputTokens: 5, weight: 1 }]],
    ['no number', [{ promptTokens: Number.NaN, cachedTokens: 0, outputTokens: 5, weight: 1 }]],
  ])('refuses %s', (_, mix) => {
    expect(() => predictUnit(UNIT, mix, 1)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY])('refuses a rate of %s', (rate) => {
    expect(() => predictUnit(UNIT, CHAT, rate)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
