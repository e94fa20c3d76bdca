import { expect, it } from 'vitest';
import type { StepParameters } from '../core/serving/fit.ts';
import { seededRandom } from '../workload/random.ts';
import { measureAdapter } from './adapter.ts';
import { LIMITS, ModelEngine, TRUTH } from './fixture.ts';
import { learnLengths, probeOf } from './probe.ts';

/** What the adapter adds: each prompt token × 1.25, each step and sequence that decodes × 1.1, attention as it was. */
const ADAPTED: StepParameters = {
  prefillFixedUs: TRUTH.prefillFixedUs,
  step: {
    ...TRUTH.step,
    tau0Us: TRUTH.step.tau0Us * 1.1,
    tau1Us: TRUTH.step.tau1Us * 1.25,
    tau3Us: TRUTH.step.tau3Us * 1.1,
  },
};

async function measured(parameters: StepParameters, noise = 0, stop = new AbortController().signal) {
  const plain = new ModelEngine(TRUTH, LIMITS);
  const adapted = new ModelEngine(parameters, LIMITS);
  const random = seededRandom(3);
  for (const engine of [plain, adapted]) engine.noise = () => 1 + noise * random();
  const probes = [plain, adapted].map((engine) => probeOf(engine.send, () => engine.nowMs));
  return measureAdapter({
    plain: probes[0]!,
    adapted: probes[1]!,
    lengths: await learnLengths(probes[0]!, seededRandom(1)),
    limits: LIMITS,
    step: TRUTH.step,
    random: () => seededRandom(2),
    nowMs: () => plain.nowMs + adapted.nowMs,
    budgetMs: 10_000_000,
    halfWidthMax: 0.01,
    stop,
    onRound: () => undefined,
  });
}

it('finds what the adapter multiplies p1 and d1 with, attention left out', async () => {
  const cost = await measured(ADAPTED);
  expect(cost?.prefill).toBeCloseTo(1.25, 2);
  expect(cost?.decode).toBeCloseTo(1.1, 2);
  expect(cost?.rounds).toBe(4);
});

it('goes on while the machine is unsteady, and says how certain it is', async () => {
  const cost = await measured(ADAPTED, 0.1);
  expect(cost?.rounds).toBeGreaterThan(4);
  expect(Math.abs(cost!.prefill / 1.25 - 1)).toBeLessThan(0.03);
  expect(Math.abs(cost!.decode / 1.1 - 1)).toBeLessThan(0.03);
  expect(cost!.prefillHalfWidth).toBeLessThanOrEqual(0.01);
});

it('never says less than 1, and nothing when it is stopped', async () => {
  expect(await measured(TRUTH)).toMatchObject({ prefill: 1, decode: 1 });
  const faster = { ...TRUTH, step: { ...TRUTH.step, tau1Us: 9_000, tau3Us: 12_000 } };
  expect(await measured(faster)).toMatchObject({ prefill: 1, decode: 1 });
  expect(await measured(ADAPTED, 0, AbortSignal.abort())).toBeNull();
});
