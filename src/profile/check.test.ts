import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { coefficientsOf, totalUs, workOf } from '../core/serving/work.ts';
import { parseAzureTrace } from '../workload/azure.ts';
import { seededRandom } from '../workload/random.ts';
import { errorsPct, measureLoad, mixedLoad, predictLoad } from './check.ts';
import { LIMITS, ModelEngine, TRUTH } from './fixture.ts';
import { learnLengths, probeOf } from './probe.ts';

const sample = new URL('../workload/samples/azure-code-2023.csv', import.meta.url);
const trace = parseAzureTrace(readFileSync(sample, 'utf8')).requests;
const loadOf = (load: number, seed = 1) =>
  mixedLoad(trace, TRUTH, LIMITS, { load, spanMs: 120_000, random: seededRandom(seed) });

describe('a mixed load', () => {
  it('offers the share of work that was asked for, of lengths that fit, in order', () => {
    for (const load of [0.3, 0.85]) {
      const requests = loadOf(load);
      const coefficients = coefficientsOf(TRUTH.step, TRUTH.prefillFixedUs, LIMITS.sequences);
      const offeredUs = requests.reduce(
        (sum, one) => sum + totalUs(workOf(coefficients, { ...one, cachedTokens: 0 })),
        0,
      );
      expect(offeredUs / 120e6).toBeLessThanOrEqual(load);
      expect(offeredUs / 120e6).toBeGreaterThan(load - 0.1);
      for (const [index, { atMs, outputTokens, promptTokens }] of requests.entries()) {
        expect(promptTokens + outputTokens).toBeLessThan(LIMITS.contextTokens);
        expect(atMs).toBeGreaterThanOrEqual(requests[index - 1]?.atMs ?? 0);
        expect(atMs).toBeLessThanOrEqual(120_000);
      }
    }
  });

  it('is predicted slower at a higher load', () => {
    const [low, high] = [0.2, 0.8].map((load) => predictLoad(TRUTH, LIMITS, loadOf(load)));
    expect(high!.e2eMs).toBeGreaterThan(low!.e2eMs);
    expect(high!.tpotMs).toBeGreaterThan(low!.tpotMs);
  });

  it('is predicted as an engine of that step model does it', async () => {
    const engine = new ModelEngine(TRUTH, LIMITS);
    const { clock } = engine;
    const probe = probeOf(engine.send, clock.nowMs);
    const lengths = await learnLengths(probe, seededRandom(1));
    const requests = loadOf(0.7);
    const measured = await measureLoad({ probe, lengths, clock, random: seededRandom(2) }, requests);
    const errorPct = errorsPct(predictLoad(TRUTH, LIMITS, requests), measured);
    expect(Math.abs(errorPct.tpotMs)).toBeLessThan(6);
    expect(Math.abs(errorPct.e2eMs)).toBeLessThan(6);
  });
});
