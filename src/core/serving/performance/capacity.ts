import { CONSTANTS } from './constants.ts';
import type { Deployment } from './facts.ts';
import { cacheShards, cacheWidth, layerKinds, stateBytes } from './layers.ts';
import { parametersOf } from './parameters.ts';
import { bytesOf } from './rates.ts';

/** What memory holds, of one replica. */
export interface Capacity {
  readonly weightBytesPerAccelerator: number;
  /** KV cache of one token of context on one accelerator. */
  readonly cacheBytesPerToken: number;
  /** Tokens of context that the replica's caches hold together. */
  readonly kvTokens: number;
  /** Sequences of the asked length at once; at least one per attention rank. */
  readonly sequencesMax: number;
}

export function capacityOf(deployment: Deployment, sequenceTokens: number): Capacity {
  const { accelerator, parallelism, precision, shape } = deployment;
  const weights = weightBytes(deployment);
  const free = Math.max(
    CONSTANTS.memoryShare * accelerator.memoryBytes - weights - CONSTANTS.runtimeBytes,
    CONSTANTS.cacheShareMin * accelerator.memoryBytes,
  );
  const kinds = layerKinds(shape);
  const divided = (bytes: number) => bytes / (cacheShards(shape, parallelism.tensor) * parallelism.pipeline);
  const width = cacheWidth(shape) * bytesOf(precision.kv);
  const perToken = divided(kinds.full * width);
  const window = Math.min(sequenceTokens, shape.attention.slidingWindow?.tokens ?? 0);
  const perSequence =
    divided(kinds.windowed * width * window) + stateBytes(shape) / (parallelism.tensor * parallelism.pipeline);
  const { attentionData } = parallelism;
  return {
    weightBytesPerAccelerator: weights,
    cacheBytesPerToken: perToken,
    kvTokens: Math.floor((attentionData * free) / (perToken + perSequence / sequenceTokens)),
    sequencesMax: attentionData * Math.max(1, Math.floor(free / (perToken * sequenceTokens + perSequence))),
  };
}

function weightBytes({ parallelism, precision, shape }: Deployment): number {
  const of = parametersOf(shape);
  const { attentionData, pipeline, tensor } = parallelism;
  const embeddings = shape.tiedEmbeddings || shape.kind === 'encoder' ? 1 : 2;
  const perRank =
    of.attention * bytesOf(precision.attention) +
    of.dense * bytesOf(precision.dense) +
    embeddings * of.embedding * bytesOf(precision.head);
  const experts = of.expert * (shape.feedForward.experts?.count ?? 0) * bytesOf(precision.experts);
  return (perRank / tensor + experts / (tensor * attentionData)) / pipeline;
}
