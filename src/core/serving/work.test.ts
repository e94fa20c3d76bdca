import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coefficientsOf, totalUs, workOf } from './work.ts';

/** The worked example of docs/work.md. */
const STEP = { tau0Us: 20_000, tau1Us: 90, tau2Us: 0.002, tau3Us: 77.5, tau4Us: 0.03, tau5Us: 0 };
const REQUEST = { promptTokens: 2_000, cachedTokens: 500, outputTokens: 300 };

describe('work', () => {
  it('is what the worked example says', () => {
    const coefficients = coefficientsOf(STEP, 15_000, 64);
    expect(coefficients).toEqual({ p0Us: 15_000, p1Us: 90, p2Us: 0.002, d1Us: 390, d2Us: 0.03 });
    expect(workOf(coefficients, REQUEST)).toEqual({ prefillUs: 153_750, decodeUs: 136_350 });
    expect(workOf(coefficientsOf(STEP, 15_000, 16), REQUEST)).toEqual({ prefillUs: 153_750, decodeUs: 417_600 });
  });

  it('is the sum of the steps that the request takes part in', () => {
    // One token a step: its share of the step's fixed cost, itself, and the context it reads, which grows by one a step.
    const batch = 8;
    let us = 0;
    for (let token = 0; token < 400; token += 1) {
      us += STEP.tau0Us / batch + STEP.tau3Us + STEP.tau4Us * (1_000 + token + 0.5);
    }
    const tokens = { promptTokens: 1_000, cachedTokens: 0, outputTokens: 400 };
    expect(workOf(coefficientsOf(STEP, 0, batch), tokens).decodeUs).toBe(Math.ceil(us - 1e-6));
  });

  it('never falls with a longer prompt or answer, and a cached prefix saves prefill only', () => {
    const tokens = fc.record({
      promptTokens: fc.nat(100_000),
      outputTokens: fc.nat(10_000),
      cachedTokens: fc.nat(200_000),
    });
    const coefficients = coefficientsOf(STEP, 15_000, 32);
    fc.assert(
      fc.property(tokens, fc.nat(1_000), (request, more) => {
        const cold = workOf(coefficients, { ...request, cachedTokens: 0 });
        const warm = workOf(coefficients, request);
        expect(warm.decodeUs).toBe(cold.decodeUs);
        expect(warm.prefillUs).toBeLessThanOrEqual(cold.prefillUs);
        expect(warm.prefillUs).toBeGreaterThanOrEqual(15_000);
        for (const longer of [
          { ...request, outputTokens: request.outputTokens + more },
          {
            ...request,
            promptTokens: request.promptTokens + more,
            cachedTokens: Math.min(request.cachedTokens, request.promptTokens),
          },
        ]) {
          expect(totalUs(workOf(coefficients, longer))).toBeGreaterThanOrEqual(totalUs(warm));
        }
      }),
    );
  });
});
