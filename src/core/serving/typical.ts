import type { LengthShape } from './length-histogram.ts';

/**
 * What a request likely holds, beside what is reserved for the longer ones. Of many requests together little deviates from
 * the sum of what is typical, so more fit than the sum of their reservations says.
 */
export interface Typical {
  /** Context that its decode steps read, at a random moment of its decoding. */
  readonly contextTokens: number;
  /** KV cache: with the mean answer, or with what is there of long ones at a random moment, whichever is more. */
  readonly kvTokens: number;
  /** Of its KV cache, squared: variances add up. */
  readonly kvVariance: number;
}

/** Of `sequences` alike together, `promptTokens` in all and at most `outputTokensMax` of output each. */
export function typicalOf(
  shape: LengthShape,
  promptTokens: number,
  outputTokensMax: number,
  sequences: number,
): Typical {
  const age = Math.min(shape.age, outputTokensMax);
  const mean = Math.min(shape.mean, outputTokensMax);
  return {
    contextTokens: promptTokens + sequences * age,
    kvTokens: promptTokens + sequences * Math.max(mean, age),
    kvVariance: sequences * Math.min(shape.deviation, outputTokensMax) ** 2,
  };
}

/** Standard deviations above the sum: KV cache that runs out makes engines compute sequences anew. */
const KV_DEVIATIONS = 3;

/**
 * KV tokens to count for requests together: Σ typical + 3·√(Σ variance), and never more than Σ reserved, which is tighter
 * for few of them.
 */
export function kvNeed(reservedTokens: number, typicalTokens: number, variance: number): number {
  return Math.min(reservedTokens, typicalTokens + KV_DEVIATIONS * Math.sqrt(Math.max(0, variance)));
}
