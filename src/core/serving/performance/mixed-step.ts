import type { StepModel } from '../work.ts';
import { CONSTANTS } from './constants.ts';
import { distinctExperts, expertFlopsShare, expertReadShare, latencyUs, weightShare } from './decode.ts';
import type { Deployment } from './facts.ts';
import { allReducesOf, cacheReadBytes, cacheShards, layerKinds, prefillFlopsPerPair, stateBytes } from './layers.ts';
import { parametersOf } from './parameters.ts';
import { bytesOf, computeUs, gemmShare, overlapped, readUs, tableGeneration } from './rates.ts';

/** What is known of these accelerators in particular, from operator tables; the constants hold for the rest. */
export interface MixedStepFacts {
  /** Share of bandwidth that GEMMs with few tokens and fused experts reach; of peak FLOP/s with many tokens. */
  readonly weightReadShare?: number;
  readonly expertReadShare?: number;
  readonly gemmFlopsShare?: number;
  readonly expertFlopsShare?: number;
  /** A ring collective: time of an empty one, and bytes/s that it moves. */
  readonly ring: { readonly latencyUs: number; readonly bytesPerS: number };
}

/** Where the parts that do not grow in proportion are taken: mean context of a sequence, prompt tokens of a chunk. */
export interface MixedStepPoint {
  readonly contextTokens: number;
  readonly chunkTokens: number;
}

/**
 * Decoding rows that share a step with prefill go through the prefill kernel and read their cache that much longer
 * again. Source: attention tables of LLMServingSim's profiler (@72c16ba, RTX PRO 6000 and RTX 4090, 32 to 128 rows of
 * 900 to 1,400 tokens beside a chunk): 0.8 to 2.1 times as long again; 1.5 is a middle value of these.
 */
const MIXED_READ = 1.5;

/** Read and written by norms and activations per token and layer, elements: what does not stay in the cache. */
const NORM_ELEMENTS = 4;
const ACTIVATION_ELEMENTS = 3;

/**
 * The step model of an engine's step that holds `tokens` tokens on all ranks together and `rankTokens` on the busiest,
 * prefilled and decoded ones alike: weights are read once and multiplied with all of them, whichever takes longer
 * (smoothly); experts, collectives and norms follow the tokens; the rest is per attended pair, sequence and context token.
 * Formulas: docs/simulator.md. So τ1 is 0: what tokens cost is in τ0, which is that of this step size only.
 */
export function mixedStepOf(
  deployment: Deployment,
  at: MixedStepPoint,
  facts: MixedStepFacts,
): (tokens: number, rankTokens: number) => StepModel {
  const rest = perSequenceAndToken(deployment, at);
  const fixedUs = latencyUs(deployment) + CONSTANTS.engineOverhead[deployment.engine] * CONSTANTS.hostUs;
  const head = parametersOf(deployment.shape).embedding * bytesOf(deployment.precision.head);
  const headUs = readUs(
    deployment.accelerator,
    head / deployment.parallelism.tensor,
    facts.weightReadShare ?? weightShare(deployment.precision.head),
  );
  return (tokens, rankTokens) => ({
    ...rest,
    tau0Us:
      fixedUs +
      headUs +
      denseUs(deployment, rankTokens, facts) +
      expertsUs(deployment, tokens, facts) +
      normsUs(deployment, rankTokens) +
      collectivesUs(deployment, tokens, rankTokens, facts),
  });
}

function perSequenceAndToken(
  deployment: Deployment,
  { chunkTokens, contextTokens }: MixedStepPoint,
): Omit<StepModel, 'tau0Us'> {
  const { accelerator, parallelism, precision, shape } = deployment;
  const { tensor } = parallelism;
  const kinds = layerKinds(shape);
  const bytesPerToken = cacheReadBytes(shape, precision, contextTokens) / contextTokens / cacheShards(shape, tensor);
  const tables = tableGeneration(accelerator);
  const fill = chunkTokens / (chunkTokens + CONSTANTS.attentionHalfTokens[tables]);
  const share = CONSTANTS.prefillAttentionFlopsShare[tables] * fill;
  const seen = shape.attention.slidingWindow?.tokens ?? 0;
  const layers = kinds.full + kinds.windowed * Math.min(1, seen / contextTokens);
  const tau4Us = readUs(accelerator, bytesPerToken, CONSTANTS.kvReadShare);
  return {
    tau1Us: 0,
    tau2Us: computeUs(accelerator, (layers * prefillFlopsPerPair(shape)) / tensor, 'bf16', share),
    tau3Us: CONSTANTS.hostUsPerSequence + readUs(accelerator, (2 * stateBytes(shape)) / tensor, CONSTANTS.kvReadShare),
    tau4Us,
    tau5Us: MIXED_READ * tau4Us,
  };
}

function denseUs(
  { accelerator, parallelism, precision, shape }: Deployment,
  tokens: number,
  facts: MixedStepFacts,
): number {
  const of = parametersOf(shape);
  let reading = 0;
  let multiplying = 0;
  for (const [count, format] of [
    [of.attention, precision.attention],
    [of.dense, precision.dense],
  ] as const) {
    const perRank = count / parallelism.tensor;
    const share = facts.gemmFlopsShare ?? gemmShare(accelerator, format);
    reading += readUs(accelerator, perRank * bytesOf(format), facts.weightReadShare ?? weightShare(format));
    multiplying += computeUs(accelerator, 2 * tokens * perRank, format, share);
  }
  return overlapped(reading, multiplying);
}

/** Experts are divided among all accelerators: whole, or cut by width. */
function expertsUs(deployment: Deployment, tokens: number, facts: MixedStepFacts): number {
  const { accelerator, parallelism, precision, shape } = deployment;
  const { experts } = shape.feedForward;
  if (!experts) return 0;
  const group = parallelism.tensor * parallelism.attentionData;
  const { expert } = parametersOf(shape);
  const bytes = (expert * distinctExperts(shape, tokens) * bytesOf(precision.experts)) / group;
  const flops = (2 * expert * experts.activePerToken * tokens) / group;
  const flopsShare = facts.expertFlopsShare ?? expertFlopsShare(accelerator, precision.experts);
  return overlapped(
    readUs(accelerator, bytes, expertsReadShare(deployment, facts)),
    computeUs(accelerator, flops, precision.experts, flopsShare),
  );
}

/** An accelerator's own share is that of whole experts; cutting them costs it what it costs the constants' share. */
function expertsReadShare(deployment: Deployment, facts: MixedStepFacts): number {
  const share = expertReadShare(deployment);
  if (facts.expertReadShare === undefined) return share;
  const { parallelism } = deployment;
  const whole = { ...parallelism, expert: parallelism.tensor * parallelism.attentionData };
  return (facts.expertReadShare * share) / expertReadShare({ ...deployment, parallelism: whole });
}

/** Norms (divided among none) and activations (divided like their GEMM), 2-byte elements. */
function normsUs({ accelerator, parallelism, shape }: Deployment, tokens: number): number {
  const { experts, intermediateSize } = shape.feedForward;
  const expertLayers = experts?.layers ?? 0;
  const widths =
    (layerKinds(shape).feedForward - expertLayers) * (intermediateSize ?? 0) +
    (experts ? expertLayers * (experts.activePerToken + experts.shared) * experts.intermediateSize : 0);
  const elements =
    NORM_ELEMENTS * shape.layers * shape.hiddenSize + (ACTIVATION_ELEMENTS * widths) / parallelism.tensor;
  return readUs(accelerator, 2 * tokens * elements, 1);
}

/**
 * Ring collectives of 2-byte activations: an all-reduce after each attention and feed-forward in a tensor group; an all-gather and a
 * reduce-scatter (together one all-reduce) of all ranks' tokens a layer of experts under attention data parallelism.
 */
function collectivesUs(deployment: Deployment, tokens: number, rankTokens: number, { ring }: MixedStepFacts): number {
  const { parallelism, shape } = deployment;
  const { attentionData, tensor } = parallelism;
  const allReduceUs = (size: number, count: number) =>
    (count * shape.hiddenSize * 2 * 2 * (size - 1) * 1e6) / (size * ring.bytesPerS);
  let us = 0;
  if (tensor > 1) us += allReducesOf(shape) * (ring.latencyUs + allReduceUs(tensor, rankTokens));
  if (attentionData > 1) {
    us += layerKinds(shape).experts * (2 * ring.latencyUs + allReduceUs(tensor * attentionData, tokens));
  }
  return us;
}
