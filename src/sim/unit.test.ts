import { describe, expect, it } from 'vitest';
import type { UnitFacts } from '../core/serving/unit/load.ts';
import { mixOf } from '../core/serving/unit/mix.ts';
import { predictUnit, ratingOf } from '../core/serving/unit.ts';
import { arrivalTimesMs } from '../workload/arrivals.ts';
import { seededRandom } from '../workload/random.ts';
import { simulateEngine } from './engine.ts';

/**
 * The closed formulas of `unit.ts` against the engine simulator: three step models (a small model on one GPU, a large
 * one on four, this machine's CPU) × lengths × loads, alike and spread. Tolerances are the medians and the worst cell
 * that docs/calculator.md states.
 */
const GPU: UnitFacts = {
  step: { tau0Us: 6_500, tau1Us: 33, tau2Us: 0.001, tau3Us: 39, tau4Us: 0.052, tau5Us: 0 },
  prefillFixedUs: 6_000,
  kvTokensPerUnit: 10_000_000,
  batch: 64,
  stepTokensMax: 8_192,
  disaggregated: false,
};
const LARGE: UnitFacts = {
  ...GPU,
  step: { tau0Us: 16_600, tau1Us: 88, tau2Us: 0.0013, tau3Us: 77, tau4Us: 0.033, tau5Us: 0 },
  stepTokensMax: 2_048,
  batch: 32,
};
const CPU: UnitFacts = {
  ...GPU,
  step: { tau0Us: 8_000, tau1Us: 9_600, tau2Us: 3, tau3Us: 16_400, tau4Us: 9, tau5Us: 0 },
  prefillFixedUs: 30_000,
  stepTokensMax: 72,
  batch: 8,
};
const CELLS: readonly (readonly [UnitFacts, number, number])[] = [
  [GPU, 200, 200],
  [GPU, 2_000, 200],
  [GPU, 500, 600],
  [GPU, 12_000, 300],
  [LARGE, 300, 400],
  [LARGE, 2_000, 200],
  [CPU, 60, 120],
  [CPU, 100, 60],
];
const FIGURES = ['tpotMean', 'tpotP50', 'tpotP95', 'ttftMean', 'ttftP50', 'ttftP95'] as const;

const quantile = (sorted: readonly number[], q: number) => sorted[Math.floor(q * (sorted.length - 1))] as number;
const ascending = (values: readonly number[]) => values.toSorted((a, b) => a - b);
const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Signed errors of the prediction, percent, by figure. */
function errorsOf(unit: UnitFacts, prompt: number, output: number, spread: number, load: number, count: number) {
  const mix = mixOf(
    { promptTokens: prompt, cachedTokens: 0, outputTokens: output },
    { prompt: spread, output: spread },
  );
  const random = seededRandom(11);
  const times = arrivalTimesMs({ kind: 'poisson', ratePerS: load * ratingOf(unit, mix).requestsPerS }, random);
  const requests = Array.from({ length: count }, () => {
    const kind = mix[Math.floor(random() * mix.length)]!;
    const atMs = times.next().value as number;
    return { atMs, promptTokens: Math.round(kind.promptTokens), outputTokens: Math.round(kind.outputTokens) };
  });
  const config = { step: unit.step, prefillFixedUs: unit.prefillFixedUs, sequencesMax: unit.batch };
  const engine = { stepTokensMax: unit.stepTokensMax, kvTokens: unit.kvTokensPerUnit, blockTokens: 16 };
  const result = simulateEngine({ ...config, ...engine, prefixCaching: false, asyncScheduling: false }, requests);
  const ratePerS = (1e3 * (count - 1)) / (requests.at(-1)!.atMs - requests[0]!.atMs);
  const { tpotMs, ttftMs } = predictUnit(unit, mix, ratePerS);
  const ttft = ascending(result.requests.map((request) => request.ttftMs));
  const tpot = ascending(result.requests.flatMap((request) => request.tpotMs ?? []));
  const percent = (predicted: number, simulated: number) => 100 * (predicted / simulated - 1);
  return {
    tpotMean: percent(tpotMs!.mean, mean(tpot)),
    tpotP50: percent(tpotMs!.p50, quantile(tpot, 0.5)),
    tpotP95: percent(tpotMs!.p95, quantile(tpot, 0.95)),
    ttftMean: percent(ttftMs!.mean, mean(ttft)),
    ttftP50: percent(ttftMs!.p50, quantile(ttft, 0.5)),
    ttftP95: percent(ttftMs!.p95, quantile(ttft, 0.95)),
  };
}

describe('the unit’s formulas against the engine simulator', () => {
  /** Median and largest error over all cells, percent. Rare waits for a place make TTFT at high load too noisy to hold. */
  it.each([
    { load: 0.3, count: 1_500, median: [1, 1, 4, 2, 4, 12], worst: [12, 35, 40, 15, 20, 45] },
    { load: 0.6, count: 1_500, median: [2, 2, 10, 4, 6, 16], worst: [20, 40, 45, 25, 25, 45] },
    { load: 0.8, count: 2_500, median: [3, 4, 15, 35, 8, 60], worst: [35, 45, 55, 75, 25, 200] },
  ])('at load $load', ({ load, count, median, worst }) => {
    const errors = CELLS.flatMap(([unit, prompt, output]) =>
      [0, 1].map((spread) => errorsOf(unit, prompt, output, spread, load, count)),
    );
    for (const [index, figure] of FIGURES.entries()) {
      const sorted = ascending(errors.map((row) => Math.abs(row[figure])));
      expect(quantile(sorted, 0.5), `median of ${figure}`).toBeLessThan(median[index]!);
      expect(sorted.at(-1), `worst of ${figure}`).toBeLessThan(worst[index]!);
    }
  });
});
