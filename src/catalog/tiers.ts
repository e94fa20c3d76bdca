import type { EngineConfig } from '../sim/engine.ts';
import { type RequestShape, ratedRequestsPerS, tierLatency, type UnitEngines } from '../sim/tier.ts';
import type { Template, Tier } from './schema.ts';

/** How vendors quote throughput: input to output 10 : 1, at lengths of a chat with context. */
export const RATED_SHAPE: RequestShape = { promptTokens: 2_000, outputTokens: 200 };

/** Tokens of a step at most: vLLM's default for accelerators under 70 GB; above, prompts of this shape do not fill more. */
export const STEP_TOKENS_MAX = 2_048;
const BLOCK_TOKENS = 16;
const SEED = 1;

/**
 * Tiers of a template by simulation of its step model. The batch of coefficient k is the largest useful one ÷ k: what
 * the engine runs together, or what the KV cache holds at the rated shape. Rated is what a unit carries at that batch;
 * latencies are those at rated ÷ k. Three digits each.
 */
export function simulatedTiers(template: Template): Tier[] {
  const { promptTokens, outputTokens } = RATED_SHAPE;
  const held = Math.floor(template.kvTokensPerUnit / (promptTokens + outputTokens));
  const largest = Math.max(1, Math.min(template.engine.sequences, held));
  return template.tiers.map(({ coefficient }) => {
    const batch = Math.max(1, Math.round(largest / coefficient));
    const unit = enginesOf(template, batch);
    const requestsPerS = ratedRequestsPerS(unit, RATED_SHAPE);
    const { tpotMs, ttftMs } = tierLatency(unit, RATED_SHAPE, requestsPerS / coefficient, SEED);
    return {
      coefficient,
      batch,
      ratedTokensPerS: digits(requestsPerS * (promptTokens + outputTokens)),
      ttftMs: { p50: digits(ttftMs.p50), p95: digits(ttftMs.p95) },
      tpotMs: tpotMs && { p50: digits(tpotMs.p50), p95: digits(tpotMs.p95) },
    };
  });
}

/** A profile's `on`, with how its tiers were found. */
export function simulatedOn({ kind, profile }: Pick<Template, 'kind' | 'profile'>): string {
  const how = kind === 'single' ? '' : ', prefill and decode apart, the transfer between them not counted';
  return `${profile.on.replace(/; tiers .*$/, '')}; tiers from its simulation${how}`;
}

function enginesOf({ kind, kvTokensPerUnit, profile }: Template, batch: number): UnitEngines {
  const { prefillFixedUs, step } = profile;
  const engine: EngineConfig = {
    step,
    prefillFixedUs,
    sequencesMax: batch,
    stepTokensMax: STEP_TOKENS_MAX,
    kvTokens: kvTokensPerUnit,
    blockTokens: BLOCK_TOKENS,
    prefixCaching: false,
    asyncScheduling: true,
  };
  if (kind === 'single') return engine;
  // A step of prefill machines takes what its prompts take: their fixed part is in prefillFixedUs.
  const prefill = { ...engine, step: { ...step, tau0Us: 0 } };
  const decode = { ...engine, prefillFixedUs: 0, step: { ...step, tau1Us: 0, tau2Us: 0 }, prefixCaching: true };
  return { prefill, decode };
}

function digits(value: number): number {
  return Number(value.toPrecision(3));
}
