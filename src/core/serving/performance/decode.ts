import { CONSTANTS } from './constants.ts';
import type { Deployment, Format } from './facts.ts';
import {
  allReducesOf,
  cacheReadBytes,
  cacheShards,
  decodeFlopsPerPair,
  kernelsOf,
  layerKinds,
  stateBytes,
} from './layers.ts';
import { type Parameters, parametersOf } from './parameters.ts';
import { bytesOf, computeFormat, computeUs, gemmShare, overlapped, readUs, tableGeneration } from './rates.ts';

/** One decode step of a replica by term, microseconds; they add up to the step. */
export interface DecodeTerms {
  readonly weightsUs: number;
  readonly expertsUs: number;
  readonly kvUs: number;
  readonly latencyUs: number;
  readonly collectivesUs: number;
  readonly hostUs: number;
}

/** What one accelerator group decodes in a step. */
export interface DecodeBatch {
  /** Sequences on the whole replica. */
  readonly sequences: number;
  /** Mean context of a sequence, tokens. */
  readonly contextTokens: number;
}

/**
 * Terms of one decode step that emits one token per sequence (with drafts: its share per accepted token). A pipeline of
 * n stages passes n batches of a n-th each, so one token's way is the whole model at that batch.
 */
export function decodeTerms(deployment: Deployment, { contextTokens, sequences }: DecodeBatch): DecodeTerms {
  const { attentionData, pipeline } = deployment.parallelism;
  const verified = deployment.draftTokens + 1;
  const perReplica = Math.max(1, sequences / pipeline) * verified;
  const perRank = Math.max(1, sequences / (pipeline * attentionData)) * verified;
  const parameters = parametersOf(deployment.shape);
  const scale = draftScale(deployment.draftTokens);
  return {
    weightsUs: scale * weightsUs(deployment, parameters, perRank),
    expertsUs: scale * expertsUs(deployment, parameters, perReplica),
    kvUs: scale * kvUs(deployment, perRank, verified, contextTokens),
    latencyUs: scale * latencyUs(deployment),
    collectivesUs: scale * collectivesUs(deployment, perRank),
    hostUs: scale * hostUs(deployment, perRank / verified),
  };
}

export function decodeUs(deployment: Deployment, batch: DecodeBatch): number {
  return Object.values(decodeTerms(deployment, batch)).reduce((sum, us) => sum + us, 0);
}

/** Extra work of a verifying step, shared by the tokens it yields: 1 + accepted share of the drafts. */
function draftScale(draftTokens: number): number {
  return draftTokens === 0 ? 1 : CONSTANTS.draftStepFactor / (1 + CONSTANTS.draftAcceptance * draftTokens);
}

function weightsUs({ accelerator, parallelism, precision, shape }: Deployment, of: Parameters, tokens: number): number {
  const parts: readonly (readonly [number, Format])[] = [
    [of.attention, precision.attention],
    [of.dense, precision.dense],
    [shape.kind === 'encoder' ? 0 : of.embedding, precision.head],
  ];
  let reading = 0;
  let multiplying = 0;
  for (const [count, format] of parts) {
    const perRank = count / parallelism.tensor;
    reading += readUs(accelerator, perRank * bytesOf(format), weightShare(format));
    multiplying += computeUs(accelerator, 2 * tokens * perRank, format, gemmShare(accelerator, format));
  }
  return overlapped(reading, multiplying);
}

export function weightShare(format: Format): number {
  return CONSTANTS.weightReadShare * (format === 'fp4' || format === 'int4' ? CONSTANTS.fp4ReadShare : 1);
}

/** Distinct experts that `tokens` touch: random picks, fewer for the skew of routing. */
export function distinctExperts({ feedForward: { experts } }: Deployment['shape'], tokens: number): number {
  if (!experts) return 0;
  const independent = tokens ** CONSTANTS.routingSkewExponent;
  return experts.count * (1 - (1 - experts.activePerToken / experts.count) ** independent);
}

/** Share of memory bandwidth that fused experts reach. */
export function expertReadShare(accelerator: Deployment['accelerator'], format: Format): number {
  if (format === 'int4') return CONSTANTS.expertReadInt4[tableGeneration(accelerator)];
  return CONSTANTS.expertReadShare * (accelerator.generation === 'blackwell' ? CONSTANTS.expertReadBlackwell : 1);
}

function expertsUs({ accelerator, parallelism, precision, shape }: Deployment, of: Parameters, tokens: number): number {
  const { experts } = shape.feedForward;
  if (!experts) return 0;
  const group = parallelism.tensor * parallelism.attentionData;
  const bytes = (of.expert * distinctExperts(shape, tokens) * bytesOf(precision.experts)) / group;
  const flops = (2 * of.expert * experts.activePerToken * tokens) / group;
  return overlapped(
    readUs(accelerator, bytes, expertReadShare(accelerator, precision.experts)),
    computeUs(accelerator, flops, precision.experts, expertFlopsShare(accelerator, precision.experts)),
  );
}

/** Share of peak FLOP/s that fused experts with many tokens each reach. */
export function expertFlopsShare(accelerator: Deployment['accelerator'], format: Format): number {
  return CONSTANTS.expertFlopsShare[tableGeneration(accelerator)][computeFormat(accelerator, format)];
}

function kvUs(deployment: Deployment, tokens: number, verified: number, contextTokens: number): number {
  const { accelerator, parallelism, precision, shape } = deployment;
  const sequences = tokens / verified;
  const cacheBytes = cacheReadBytes(shape, precision, contextTokens) / cacheShards(shape, parallelism.tensor);
  const kinds = layerKinds(shape);
  const { slidingWindow, sparse } = shape.attention;
  const pairs =
    kinds.full * (sparse ? Math.min(contextTokens, sparse.topK) : contextTokens) +
    kinds.windowed * Math.min(contextTokens, slidingWindow?.tokens ?? 0);
  const flops = (tokens * pairs * decodeFlopsPerPair(shape)) / parallelism.tensor;
  const fast = accelerator.generation === 'blackwell' && precision.kv !== 'bf16' ? 2 : 1;
  const state = (2 * sequences * stateBytes(shape)) / parallelism.tensor;
  return (
    overlapped(
      readUs(accelerator, sequences * cacheBytes, CONSTANTS.kvReadShare),
      computeUs(accelerator, flops / fast, 'bf16', CONSTANTS.decodeAttentionFlopsShare),
    ) + readUs(accelerator, state, CONSTANTS.kvReadShare)
  );
}

export function latencyUs({ accelerator, engine, shape }: Deployment): number {
  return (
    CONSTANTS.engineOverhead[engine] *
    CONSTANTS.kernelGeneration[accelerator.generation] *
    CONSTANTS.kernelUs *
    kernelsOf(shape)
  );
}

/** All-reduces under tensor parallelism; two all-to-alls an expert layer under attention data parallelism. */
function collectivesUs(deployment: Deployment, tokens: number): number {
  const { attentionData } = deployment.parallelism;
  const allReduces = allReducesOf(deployment.shape) * allReduceUs(deployment, tokens);
  if (attentionData === 1) return allReduces;
  const { allToAllUs } = CONSTANTS;
  return allReduces + 2 * layerKinds(deployment.shape).experts * (allToAllUs + dispatchUs(deployment, tokens));
}

/**
 * One all-reduce of bf16 activations: in one shot each accelerator reads those of all others; a ring moves less and
 * starts later. The faster of both.
 */
export function allReduceUs({ accelerator, parallelism, shape }: Deployment, tokens: number): number {
  const { tensor } = parallelism;
  if (tensor === 1 || accelerator.linkBytesPerS === null) return 0;
  const messageUs = (tokens * shape.hiddenSize * 2 * 1e6) / accelerator.linkBytesPerS;
  const floor = CONSTANTS.allReduceUs + CONSTANTS.allReduceDoublingUs * Math.log2(tensor);
  const oneShot = floor + ((tensor - 1) * messageUs) / CONSTANTS.oneShotShare;
  const ring =
    Math.max(floor, CONSTANTS.ringUs) +
    (2 * (tensor - 1) * messageUs) / tensor / CONSTANTS.ringShare[tableGeneration(accelerator)];
  return Math.min(oneShot, ring);
}

/** Sending each token to its experts' accelerators, 1.5 bytes an element (8 bits there, bf16 back), one way. */
function dispatchUs({ accelerator, parallelism, shape }: Deployment, tokens: number): number {
  const group = parallelism.tensor * parallelism.attentionData;
  if (accelerator.linkBytesPerS === null) return 0;
  const copies = Math.min(shape.feedForward.experts?.activePerToken ?? 1, group);
  return (tokens * shape.hiddenSize * copies * 1.5 * 1e6) / (accelerator.linkBytesPerS * CONSTANTS.allToAllShare);
}

function hostUs({ engine }: Deployment, sequences: number): number {
  return CONSTANTS.engineOverhead[engine] * CONSTANTS.hostUs + CONSTANTS.hostUsPerSequence * sequences;
}
