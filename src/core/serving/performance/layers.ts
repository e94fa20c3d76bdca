import { CONSTANTS } from './constants.ts';
import type { ModelShape, Precision } from './facts.ts';
import { bytesOf } from './rates.ts';

/** What follows from a model's shape alone: kinds of layers, cache widths, work per attended token, kernels. */

export interface LayerKinds {
  /** See the whole context and keep all of it. */
  readonly full: number;
  readonly windowed: number;
  readonly linear: number;
  readonly feedForward: number;
  /** Those of `feedForward` that are a mixture of experts. */
  readonly experts: number;
}

export function layerKinds({ attention, feedForward, layers }: ModelShape): LayerKinds {
  const windowed = attention.slidingWindow?.layers ?? 0;
  const linear = attention.linear?.layers ?? 0;
  return {
    full: layers - windowed - linear - (attention.skippedLayers ?? 0),
    windowed,
    linear,
    feedForward: layers - (feedForward.skippedLayers ?? 0),
    experts: feedForward.experts?.layers ?? 0,
  };
}

/** Cached elements of one token in one layer; with MLA the compressed latent, shared by all heads. */
export function cacheWidth({ attention: { headDimension, kvHeads, mla, sparse } }: ModelShape): number {
  return (mla ? mla.kvLoraRank + mla.ropeDimension : 2 * kvHeads * headDimension) + (sparse?.indexDimension ?? 0);
}

/** Accelerators of a tensor group among which one token's cache is divided: by KV head; a latent is not divided. */
export function cacheShards({ attention: { kind, kvHeads } }: ModelShape, tensor: number): number {
  return kind === 'mla' ? 1 : Math.min(tensor, kvHeads);
}

/** State of fixed size that one sequence keeps in linear attention layers; 4-byte elements. */
export function stateBytes({ attention: { linear } }: ModelShape): number {
  return linear ? 4 * linear.layers * linear.valueHeads * linear.keyDimension * linear.valueDimension : 0;
}

/** Bytes that decoding one token reads from a cache of `contextTokens`, whole model, before dividing. */
export function cacheReadBytes(shape: ModelShape, precision: Precision, contextTokens: number): number {
  const { slidingWindow, sparse } = shape.attention;
  const kinds = layerKinds(shape);
  const bytes = bytesOf(precision.kv);
  const width = cacheWidth(shape);
  const seen = slidingWindow ? Math.min(contextTokens, slidingWindow.tokens) : 0;
  if (!sparse) return (kinds.full * contextTokens + kinds.windowed * seen) * width * bytes;
  const selected = Math.min(contextTokens, sparse.topK) * (width - sparse.indexDimension);
  return (
    kinds.full * (selected + contextTokens * sparse.indexDimension) * bytes + kinds.windowed * seen * width * bytes
  );
}

/** FLOP of decoding one token against one cached token in one layer (MLA in its absorbed form). */
export function decodeFlopsPerPair({ attention: { headDimension, heads, mla } }: ModelShape): number {
  return 2 * heads * (mla ? 2 * mla.kvLoraRank + mla.ropeDimension : 2 * headDimension);
}

/** FLOP of one query against one key and value in one layer, prefill (MLA expanded). */
export function prefillFlopsPerPair({ attention: { headDimension, heads, mla } }: ModelShape): number {
  return 2 * heads * (mla ? headDimension + mla.ropeDimension + mla.valueDimension : 2 * headDimension);
}

/** Kernels of one step, counted from the shape. */
export function kernelsOf(shape: ModelShape): number {
  const { attention, feedForward } = shape;
  const { experts, feedForward: feedForwards, full, linear, windowed } = layerKinds(shape);
  const softmax = full + windowed;
  return (
    CONSTANTS.kernelsPerAttention * (softmax + linear) +
    CONSTANTS.kernelsPerFeedForward * feedForwards +
    CONSTANTS.kernelsPerExpertLayer * experts +
    (feedForward.experts?.shared ? CONSTANTS.kernelsPerSharedExpertLayer * experts : 0) +
    (attention.mla ? CONSTANTS.kernelsPerLatentLayer * softmax : 0) +
    CONSTANTS.kernelsPerLinearLayer * linear +
    (attention.sparse ? CONSTANTS.kernelsPerSparseLayer * softmax : 0)
  );
}

/** All-reduces of one step under tensor parallelism: one after each attention and each feed-forward. */
export function allReducesOf(shape: ModelShape): number {
  const { feedForward, full, linear, windowed } = layerKinds(shape);
  return full + windowed + linear + feedForward;
}
