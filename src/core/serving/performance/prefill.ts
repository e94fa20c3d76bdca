import { CONSTANTS } from './constants.ts';
import { allReduceUs, expertFlopsShare, expertReadShare, latencyUs, weightShare } from './decode.ts';
import type { Deployment } from './facts.ts';
import { allReducesOf, kernelsOf, layerKinds, prefillFlopsPerPair } from './layers.ts';
import { parametersOf } from './parameters.ts';
import { bytesOf, computeUs, gemmShare, overlapped, readUs, tableGeneration } from './rates.ts';

/** Prefill of one request of `promptTokens` by part, microseconds. */
export interface PrefillTerms {
  /** Multiplying with weights; grows with the tokens. */
  readonly gemmUs: number;
  /** Attended pairs; grows with their square. */
  readonly attentionUs: number;
  /** Reading all weights once: what a short prompt cannot go below. */
  readonly weightsUs: number;
  readonly collectivesUs: number;
  /** Kernels in sequence, and launching them: prefill runs without CUDA graphs. */
  readonly latencyUs: number;
  readonly launchUs: number;
}

/** `ranksBusy` attention ranks prefill one prompt each at the same time: they share the experts' accelerators. */
export function prefillTerms(deployment: Deployment, promptTokens: number, ranksBusy = 1): PrefillTerms {
  const { engine, shape } = deployment;
  return {
    gemmUs: gemmUs(deployment, promptTokens, promptTokens * ranksBusy),
    attentionUs: attentionUs(deployment, promptTokens),
    weightsUs: allWeightsUs(deployment),
    collectivesUs: allReducesOf(shape) * allReduceUs(deployment, promptTokens),
    latencyUs: 1.3 * latencyUs(deployment),
    launchUs: CONSTANTS.launchUs * CONSTANTS.launchGraphs[engine] * kernelsOf(shape),
  };
}

/** Time of one request's prefill alone on the replica; `launchShare` of the launching is not hidden by other work. */
export function prefillUs(deployment: Deployment, terms: PrefillTerms, launchShare = 1): number {
  const { attentionUs, collectivesUs, gemmUs, latencyUs, launchUs, weightsUs } = terms;
  const device =
    overlapped(gemmUs + attentionUs, weightsUs) * CONSTANTS.prefillEngine[deployment.engine] +
    collectivesUs +
    latencyUs;
  return overlapped(device, launchShare * launchUs);
}

function gemmUs(
  { accelerator, parallelism, precision, shape }: Deployment,
  tokens: number,
  routedTokens: number,
): number {
  const of = parametersOf(shape);
  const fill = tokens / (tokens + CONSTANTS.gemmHalfTokens);
  let us = 0;
  for (const [count, format] of [
    [of.attention, precision.attention],
    [of.dense, precision.dense],
  ] as const) {
    const flops = (2 * tokens * count) / parallelism.tensor;
    us += computeUs(accelerator, flops, format, gemmShare(accelerator, format) * fill);
  }
  const { experts } = shape.feedForward;
  if (!experts) return us;
  const perExpert = (routedTokens * experts.activePerToken) / experts.count;
  const share =
    (expertFlopsShare(accelerator, precision.experts) * perExpert) / (perExpert + CONSTANTS.expertHalfTokens);
  const flops = 2 * of.expert * experts.activePerToken * routedTokens;
  const group = parallelism.tensor * parallelism.attentionData;
  return us + computeUs(accelerator, flops / group, precision.experts, share);
}

/** Causal attention: half of all pairs, in windowed and sparse layers at most their window. */
function attentionUs({ accelerator, parallelism, shape }: Deployment, tokens: number): number {
  const { slidingWindow, sparse } = shape.attention;
  const kinds = layerKinds(shape);
  const pairs = (seenMax: number) => (tokens * Math.min(tokens, 2 * seenMax)) / 2;
  const all = kinds.full * pairs(sparse?.topK ?? tokens) + kinds.windowed * pairs(slidingWindow?.tokens ?? tokens);
  const flops = (all * prefillFlopsPerPair(shape)) / parallelism.tensor;
  const generation = tableGeneration(accelerator);
  const half = CONSTANTS.attentionHalfTokens[generation];
  const share = (CONSTANTS.prefillAttentionFlopsShare[generation] * tokens) / (tokens + half);
  return computeUs(accelerator, flops, 'bf16', share);
}

function allWeightsUs({ accelerator, parallelism, precision, shape }: Deployment): number {
  const of = parametersOf(shape);
  const dense =
    readUs(accelerator, of.attention * bytesOf(precision.attention), weightShare(precision.attention)) +
    readUs(accelerator, of.dense * bytesOf(precision.dense), weightShare(precision.dense));
  const expertBytes = of.expert * (shape.feedForward.experts?.count ?? 0) * bytesOf(precision.experts);
  const group = parallelism.tensor * parallelism.attentionData;
  return (
    dense / parallelism.tensor +
    readUs(accelerator, expertBytes / group, expertReadShare(accelerator, precision.experts))
  );
}
