import { describe, expect, it } from 'vitest';
import { DEFAULT_TEMPLATE_ID } from '../catalog/default.ts';
import { loadCatalog } from '../catalog/load.ts';
import type { Template } from '../catalog/schema.ts';
import { Admission, type Estimate } from '../core/serving/admission.ts';
import { OutputLengths } from '../core/serving/output-lengths.ts';
import { typicalOf } from '../core/serving/typical.ts';
import { coefficientsOf, scaledCoefficients, totalUs, workOf } from '../core/serving/work.ts';
import { latencyOf } from './latency.ts';

const { templates } = await loadCatalog();
const template = templates.get(DEFAULT_TEMPLATE_ID) as Template;
/** As fast as the profiled machine, faster, and as slow as a loaded one. */
const TIME_SCALES = [0.5, 1, 4];
const cases = template.tiers.flatMap((tier) => TIME_SCALES.map((timeScale) => ({ tier, timeScale })));

/** The unit that a fresh installation sells, and a caller of whom nothing is known yet. */
function newUser({ tier, timeScale }: (typeof cases)[number]) {
  const latency = latencyOf(template, tier, timeScale);
  const { step, prefillFixedUs } = template.profile;
  const coefficients = scaledCoefficients(coefficientsOf(step, prefillFixedUs, tier.batch), timeScale);
  const lengths = new OutputLengths();
  const limits = { readyUnits: 1, batchPerUnit: tier.batch, kvTokensPerUnit: template.kvTokensPerUnit };
  const admission = new Admission({ ...limits, ...(latency !== null && { latency }) }, 0);
  const estimate = (promptTokens: number, maxTokens: number): Estimate => {
    const outputTokensMax = Math.min(maxTokens, template.engine.contextTokens - promptTokens);
    const outputTokens = lengths.estimate('endpoint', 'key', outputTokensMax);
    return {
      work: workOf(coefficients, { promptTokens, cachedTokens: 0, outputTokens }),
      kvTokens: promptTokens + outputTokens,
      outputTokens,
      sequences: 1,
      typical: typicalOf(lengths.shape('endpoint', 'key'), promptTokens, outputTokensMax, 1),
    };
  };
  return { admission, estimate };
}

describe('the latency guard of the unit that a fresh installation sells', () => {
  it('has rated tiers to keep', () => {
    for (const tier of template.tiers) {
      expect(tier.ttftMs?.p95).toBeGreaterThan(0);
      expect(tier.tpotMs?.p95).toBeGreaterThan(0);
    }
  });

  it.each(cases)('lets in one request after the other, $tier.coefficient on a machine × $timeScale', (it) => {
    const { admission, estimate } = newUser(it);
    let nowMs = 0;
    for (const promptTokens of [10, 200, 900, 1_900, 60, 60]) {
      for (const maxTokens of [1, 16, 1_500]) {
        const request = estimate(promptTokens, maxTokens);
        expect(admission.fit(request, nowMs)).toEqual({ fits: true });
        const reservation = admission.reserve(request, nowMs);
        nowMs += request.work.prefillUs / 1_000;
        admission.prefilled(reservation);
        // And the client's own millisecond, or the bucket is a fraction of a microsecond short of empty.
        nowMs += request.work.decodeUs / 1_000 + 1;
        admission.settle(reservation, request.work, nowMs);
      }
    }
  });

  it.each(cases)('lets in a few short ones at once, $tier.coefficient on a machine × $timeScale', (it) => {
    for (const maxTokens of [8, 64, 256]) {
      const { admission, estimate } = newUser(it);
      const request = estimate(60, maxTokens);
      // What the bucket has room for, at most four.
      const count = Math.min(4, it.tier.batch, Math.floor(30e6 / totalUs(request.work)));
      for (let n = 0; n < count; n += 1) {
        expect(admission.fit(request, n)).toEqual({ fits: true });
        admission.reserve(request, n);
      }
    }
  });

  it.each(cases)('lets in whoever waits, in time, $tier.coefficient on a machine × $timeScale', (it) => {
    const { admission, estimate } = newUser(it);
    let nowMs = 0;
    const requests = Array.from({ length: 20 }, (_, n) => estimate(n % 5 === 0 ? 1_500 : 60, 64));
    for (const request of requests) {
      const running = admission.reserve(requests[0] as Estimate, nowMs);
      while (!admission.fit(request, nowMs, 0, true).fits && nowMs < 1e7) {
        // The engine goes on: a first token, then time passes until the recent prefill is forgotten.
        admission.prefilled(running);
        nowMs += 250;
      }
      expect(admission.fit(request, nowMs, 0, true)).toEqual({ fits: true });
      admission.settle(running, running.work, nowMs);
    }
  });

  it('refuses, beside many long prompts, what could not have its first token in time', () => {
    const slowest = cases.find(({ timeScale, tier }) => timeScale === 4 && tier.batch <= 4) ?? cases[0];
    const { admission, estimate } = newUser(slowest as (typeof cases)[number]);
    const long = estimate(1_900, 64);
    // Beyond what the bucket lets in: the guard has to see it by itself.
    for (let n = 0; n < 3; n += 1) admission.reserve(long, 0);
    const fit = admission.fit(estimate(60, 8), 1e7);
    expect(fit.fits === false && fit.because).toMatch(/^(ttft|tpot)$/);
  });
});
