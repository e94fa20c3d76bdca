import { describe, expect, it } from 'vitest';
import { arrivalsWithin } from '../workload/arrivals.ts';
import { seededRandom } from '../workload/random.ts';
import type { EngineConfig } from './engine.ts';
import { simulateUnits } from './units.ts';

const CONFIG: EngineConfig = {
  step: { tau0Us: 6_000, tau1Us: 50, tau2Us: 0.001, tau3Us: 50, tau4Us: 0.05, tau5Us: 0 },
  prefillFixedUs: 5_000,
  sequencesMax: 16,
  stepTokensMax: 8_192,
  kvTokens: 200_000,
  blockTokens: 16,
  prefixCaching: false,
  asyncScheduling: false,
};
/** 20 requests/s of 1,000 / 200: about 3 units of work. */
const requests = arrivalsWithin({ kind: 'poisson', ratePerS: 20 }, 30_000, seededRandom(3)).map((atMs) => ({
  ...{ atMs, promptTokens: 1_000, outputTokens: 200 },
}));

describe('a trace on several units', () => {
  it('is the faster the more units there are, and ends soon after its last request when they suffice', () => {
    const [two, four, eight] = [2, 4, 8].map((units) => simulateUnits(CONFIG, requests, units));
    expect(two?.ttftMs.p95).toBeGreaterThan(four?.ttftMs.p95 ?? 0);
    expect(four?.ttftMs.p95).toBeGreaterThan(eight?.ttftMs.p95 ?? 0);
    expect(two?.endMs).toBeGreaterThan(40_000);
    expect(four?.endMs).toBeLessThan(33_000);
  });

  it('on far more units than requests gives each one to itself', () => {
    const one = simulateUnits(CONFIG, requests.slice(0, 1), 1);
    const many = simulateUnits(CONFIG, requests.slice(0, 20), 1_000);
    expect(many.ttftMs.p95).toBeCloseTo(one.ttftMs.p50, 6);
    expect(many.tpotMs?.p95).toBeCloseTo(one.tpotMs?.p50 ?? 0, 6);
  });

  it('does not care in which order the rows stand', () => {
    expect(simulateUnits(CONFIG, requests.toReversed(), 3)).toEqual(simulateUnits(CONFIG, requests, 3));
  });
});
