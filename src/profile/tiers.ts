import type { Tier } from '../catalog/schema.ts';
import { RATED_SHAPE } from '../catalog/tiers.ts';
import type { StepParameters } from '../core/serving/fit.ts';
import { type RequestShape, ratedRequestsPerS, tierLatency } from '../sim/tier.ts';
import type { Limits } from './cells.ts';
import { engineConfig } from './engine-config.ts';

/** Of the context, at most: half is left to requests that are longer. */
const CONTEXT_SHARE = 0.5;

/** The request that throughput is rated at: the catalogue's, or of the same proportion (10 : 1) where that is too long. */
export function ratedShape(contextTokens: number): RequestShape {
  const { outputTokens, promptTokens } = RATED_SHAPE;
  const ratio = promptTokens / outputTokens;
  const fitting = Math.max(1, Math.floor((contextTokens * CONTEXT_SHARE) / (ratio + 1)));
  return fitting >= outputTokens ? RATED_SHAPE : { promptTokens: ratio * fitting, outputTokens: fitting };
}

/**
 * Tiers by simulation of the profiled engine. The batch of coefficient k is the largest useful one ÷ k: what the engine
 * runs together, or what its KV cache holds at the rated shape. Rated is what a queue that is never empty gets at that
 * batch; latencies are those at rated ÷ k (sim/tier.ts).
 */
export function profiledTiers(
  parameters: StepParameters,
  limits: Limits,
  coefficients: readonly number[],
  seed: number,
): Tier[] {
  const shape = ratedShape(limits.contextTokens);
  const tokens = shape.promptTokens + shape.outputTokens;
  const largest = Math.max(1, Math.min(limits.sequences, Math.floor(limits.kvTokens / tokens)));
  return coefficients.map((coefficient) => {
    const batch = Math.max(1, Math.round(largest / coefficient));
    const engine = engineConfig(parameters, limits, batch);
    const requestsPerS = ratedRequestsPerS(engine, shape);
    const { tpotMs, ttftMs } = tierLatency(engine, shape, requestsPerS / coefficient, seed);
    return {
      coefficient,
      batch,
      ratedTokensPerS: threeDigits(requestsPerS * tokens),
      ttftMs: { p50: threeDigits(ttftMs.p50), p95: threeDigits(ttftMs.p95) },
      tpotMs: tpotMs && { p50: threeDigits(tpotMs.p50), p95: threeDigits(tpotMs.p95) },
      found: 'simulated',
    };
  });
}

export function threeDigits(value: number): number {
  return Number(value.toPrecision(3));
}
