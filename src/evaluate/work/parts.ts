import { capacityOf } from '../../core/serving/performance/capacity.ts';
import { decodeTerms } from '../../core/serving/performance/decode.ts';
import type { Deployment } from '../../core/serving/performance/facts.ts';
import { prefillTerms } from '../../core/serving/performance/prefill.ts';
import { totalUs, type WorkCoefficients, workOf } from '../../core/serving/work.ts';

/** Sequences that TensorRT-LLM runs on one attention rank unless told otherwise (its default max_batch_size). */
const SEQUENCES_PER_RANK_MAX = 2_048;
/** Under full load prompts are computed in steps of at least so many tokens, whoever's they are. */
const STEP_TOKENS = 2_048;

/** What makes up a request's work, each to be corrected by a factor of its own. */
export const PARTS = ['prefill', 'attention', 'weights', 'latency', 'host', 'kv'] as const;
/** By part, in that order. */
export type PartValues = readonly number[];

export interface Shape {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/**
 * The step model's slopes at offline maximum load, by part, for a unit of one accelerator: µs per prompt token, per
 * attended pair, per output token three times, per output token and context token.
 *
 * The batch B* is what memory holds at this shape, so what a step costs once (weights, experts, latency) is shared by
 * fewer the longer the requests are: that is what no fixed weights of input and output can follow.
 */
export function slopesOf(deployment: Deployment, { outputTokens, promptTokens }: Shape): PartValues {
  const { attentionData, pipeline, tensor } = deployment.parallelism;
  const accelerators = attentionData * pipeline * tensor;
  const contextTokens = promptTokens + outputTokens / 2;
  const batch = Math.min(
    capacityOf(cachingAll(deployment), contextTokens).sequencesMax,
    SEQUENCES_PER_RANK_MAX * attentionData,
  );
  const step = decodeTerms(deployment, { sequences: batch, contextTokens });
  const perSequence = accelerators / batch;
  const packed = Math.max(promptTokens, STEP_TOKENS);
  // Every rank computes prompts: a rank's time is that of its own accelerators, and experts serve all ranks at once.
  const prefill = prefillTerms(deployment, packed, attentionData);
  const { attentionUs } = prefillTerms(deployment, promptTokens, attentionData);
  const share = accelerators / attentionData;
  return [
    (share * (prefill.gemmUs + prefill.collectivesUs)) / packed,
    (share * attentionUs) / (promptTokens ** 2 / 2),
    perSequence * (step.weightsUs + step.expertsUs),
    perSequence * (step.latencyUs + step.collectivesUs),
    perSequence * step.hostUs,
    (perSequence * step.kvUs) / contextTokens,
  ];
}

/**
 * TensorRT-LLM's cache holds the whole context in windowed layers too, unless `max_attention_window` is set; its default
 * is none (KvCacheConfig, API reference). What such layers read is the window all the same.
 */
function cachingAll(deployment: Deployment): Deployment {
  const { slidingWindow: _, ...attention } = deployment.shape.attention;
  return { ...deployment, shape: { ...deployment.shape, attention } };
}

/** DESIGN §3's coefficients: d1 = τ0/B* + τ3 is three parts here. */
export function correctedCoefficients(slopes: PartValues, factors: PartValues): WorkCoefficients {
  const [p1 = 0, p2 = 0, weights = 0, latency = 0, host = 0, kv = 0] = slopes.map(
    (us, i) => us * (factors[i] as number),
  );
  return { p0Us: 0, p1Us: p1, p2Us: p2, d1Us: weights + latency + host, d2Us: kv };
}

/** Work of a request by the formula that requests are admitted and billed by, per output token, µs of one accelerator. */
export function workPerTokenUs(coefficients: WorkCoefficients, { outputTokens, promptTokens }: Shape): number {
  return totalUs(workOf(coefficients, { promptTokens, cachedTokens: 0, outputTokens })) / outputTokens;
}

/** What each part adds to the work per output token. */
export function contributionsOf(slopes: PartValues, shape: Shape): PartValues {
  const { outputTokens: m, promptTokens: n } = shape;
  const times = [n / m, n ** 2 / 2 / m, 1, 1, 1, n + m / 2];
  return slopes.map((us, i) => us * (times[i] as number));
}
