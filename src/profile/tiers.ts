import type { Tier } from '../catalog/schema.ts';
import type { StepParameters } from '../core/serving/fit.ts';
import { simulateEngine } from '../sim/engine.ts';
import { arrivalsWithin } from '../workload/arrivals.ts';
import type { Limits } from './cells.ts';
import { engineConfig } from './engine-config.ts';
import { quantile } from './statistics.ts';

/** The request that throughput is rated at: input to output 10 : 1. */
export interface RatedShape {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

const OUTPUT_TOKENS = 200;
/** Half of the context is left to shapes that are longer. */
const CONTEXT_SHARE = 0.5;
const RATED_REQUESTS_PER_SEQUENCE = 40;
const LOAD_REQUESTS_MIN = 1_000;
const WINDOW_MS = 600_000;
const WINDOWS_MAX = 100;

export function ratedShape(contextTokens: number): RatedShape {
  const outputTokens = Math.max(1, Math.min(OUTPUT_TOKENS, Math.floor((contextTokens * CONTEXT_SHARE) / 11)));
  return { promptTokens: 10 * outputTokens, outputTokens };
}

/** The largest useful batch: what the engine runs together, or what its KV cache holds at the rated shape. */
export function largestBatch(limits: Limits, { promptTokens, outputTokens }: RatedShape): number {
  return Math.max(1, Math.min(limits.sequences, Math.floor(limits.kvTokens / (promptTokens + outputTokens))));
}

/**
 * Tiers by simulation of the profiled engine. The batch of coefficient k is the largest ÷ k; rated throughput is what
 * a queue that is never empty gets at that batch; latencies are those of Poisson arrivals at rated ÷ k over windows of ten
 * minutes that begin idle. At k = 1 the load is all that the unit can do: its TTFT is mostly queue.
 */
export function simulatedTiers(
  parameters: StepParameters,
  limits: Limits,
  coefficients: readonly number[],
  random: () => number,
): Tier[] {
  const shape = ratedShape(limits.contextTokens);
  const largest = largestBatch(limits, shape);
  return coefficients.map((coefficient) => {
    const batch = Math.max(1, Math.round(largest / coefficient));
    const ratedTokensPerS = ratedThroughput(parameters, limits, shape, batch);
    const ratePerS = ratedTokensPerS / coefficient / (shape.promptTokens + shape.outputTokens);
    const perWindow = ratePerS * (WINDOW_MS / 1000);
    const windows = Math.min(WINDOWS_MAX, Math.ceil(LOAD_REQUESTS_MIN / perWindow));
    const result = Array.from({ length: windows }, () => {
      const requests = arrivalsWithin({ kind: 'poisson', ratePerS }, WINDOW_MS, random).map((atMs) => ({
        atMs,
        ...shape,
      }));
      return simulateEngine(engineConfig(parameters, limits, batch), requests).requests;
    }).flat();
    return {
      coefficient,
      batch,
      ratedTokensPerS: round(ratedTokensPerS),
      ttftMs: latency(result.map(({ ttftMs }) => ttftMs)),
      tpotMs: latency(result.flatMap(({ tpotMs }) => tpotMs ?? [])),
      found: 'simulated',
    };
  });
}

/** Tokens per second, input and output, of a queue that is never empty. */
export function ratedThroughput(parameters: StepParameters, limits: Limits, shape: RatedShape, batch: number): number {
  const count = RATED_REQUESTS_PER_SEQUENCE * batch;
  // Sent over one round of the batch, not at once: sequences that begin together would end together for ever.
  const alone = simulateEngine(engineConfig(parameters, limits, batch), [{ atMs: 0, ...shape }]).endMs;
  const requests = Array.from({ length: count }, (_, index) => ({
    atMs: (Math.min(index, batch) * alone) / batch,
    ...shape,
  }));
  const { requests: done } = simulateEngine(engineConfig(parameters, limits, batch), requests);
  const ends = done.map(({ e2eMs }, index) => requests[index]!.atMs + e2eMs).sort((a, b) => a - b);
  // Without the first and the last round, in which not all places are taken.
  const first = batch;
  const last = ends.length - batch - 1;
  const tokens = (last - first) * (shape.promptTokens + shape.outputTokens);
  return (1000 * tokens) / (ends[last]! - ends[first]!);
}

/** Median and 95th percentile, to three digits. */
export function latency(valuesMs: readonly number[]): { readonly p50: number; readonly p95: number } | null {
  if (valuesMs.length === 0) return null;
  return { p50: round(quantile(valuesMs, 0.5)), p95: round(quantile(valuesMs, 0.95)) };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
