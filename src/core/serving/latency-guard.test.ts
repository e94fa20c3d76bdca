import { describe, expect, it } from 'vitest';
import { Admission } from './admission.ts';
import { breachOf, type LatencyGuard, type Outstanding, predictedTpotMs, predictedTtftMs } from './latency-guard.ts';

const GUARD: LatencyGuard = {
  step: { tau0Us: 9_000, tau1Us: 100, tau2Us: 0, tau3Us: 100, tau4Us: 0.1, tau5Us: 0 },
  stepTokensMax: 1_000,
  ttftMsMax: 1_000,
  ttftPrefillFactor: 2,
  tpotMsMax: 50,
};
const IDLE: Outstanding = { readyUnits: 1, running: 0, contextTokens: 0, prefillAheadUs: 0, prefillLoad: 0 };

describe('latency guard', () => {
  it('adds prefill ahead and own, slowed by the decodes of each step', () => {
    // A decode step takes 9 + 10·0.1 + 0.1·100,000/1000 = 20 ms, a prefill step 100 ms.
    const busy = { ...IDLE, running: 10, contextTokens: 100_000, prefillAheadUs: 300_000 };
    expect(predictedTtftMs(GUARD, busy, 200_000)).toBeCloseTo(500 * 1.2, 9);
    expect(predictedTtftMs(GUARD, { ...busy, readyUnits: 2 }, 200_000)).toBeCloseTo((150 + 200) * 1.145, 9);
  });

  it('counts the prefill steps that come between tokens, more so for short answers', () => {
    expect(predictedTpotMs(GUARD, IDLE, 100)).toBe(9);
    const half = { ...IDLE, prefillLoad: 0.5 };
    // As much prefill as decoding: 9 prefill steps in 100 tokens, and 2·√9 more.
    expect(predictedTpotMs(GUARD, half, 100)).toBeCloseTo(9 + 15, 9);
    expect(predictedTpotMs(GUARD, half, 10)).toBeGreaterThan(predictedTpotMs(GUARD, half, 100));
  });

  it('names the promise that would break', () => {
    expect(breachOf(GUARD, IDLE, 500_000, 100)).toBeNull();
    expect(breachOf(GUARD, { ...IDLE, prefillAheadUs: 2_000_000 }, 1_000, 100)).toBe('ttft');
    expect(breachOf(GUARD, { ...IDLE, contextTokens: 500_000 }, 1_000, 100)).toBe('tpot');
  });

  it('keeps a request out of admission until the prefill ahead has got its first tokens', () => {
    const admission = new Admission({ readyUnits: 1, batchPerUnit: 100, kvTokensPerUnit: 1e9, latency: GUARD }, 0);
    const estimate = {
      work: { prefillUs: 500_000, decodeUs: 1_000 },
      kvTokens: 100,
      outputTokens: 4_000,
      sequences: 1,
    };
    const first = admission.reserve(estimate, 0);
    admission.reserve(estimate, 0);
    expect(admission.fit(estimate, 0)).toMatchObject({ fits: false, because: 'ttft' });
    admission.prefilled(first);
    admission.prefilled(first);
    expect(admission.fit(estimate, 0)).toEqual({ fits: true });
    admission.settle(first, first.work, 0);
    expect(admission.fit(estimate, 0)).toEqual({ fits: true });
  });
});
