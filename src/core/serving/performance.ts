import { type Capacity, capacityOf } from './performance/capacity.ts';
import { checkDeployment, checkPositive } from './performance/check.ts';
import { CONSTANTS } from './performance/constants.ts';
import { type DecodeTerms, decodeTerms } from './performance/decode.ts';
import { type Deployment, type Load, type OperatingPoint, STEADY } from './performance/facts.ts';
import { type PrefillTerms, prefillTerms, prefillUs } from './performance/prefill.ts';

/** Parts of the time per output token, microseconds: a decode step and what other requests' prefill adds to it. */
export interface TpotTerms extends DecodeTerms {
  readonly interferenceUs: number;
}

/** Parts of the time to the first token, microseconds. */
export interface TtftTerms {
  /** Client, server and scheduler. */
  readonly fixedUs: number;
  /** The request's own prefill, and those it waits for. */
  readonly prefillUs: number;
  /** Decode steps that run meanwhile. */
  readonly decodeUs: number;
  /** Waiting for memory that other requests hold. */
  readonly overflowUs: number;
}

export interface Performance extends Capacity {
  /** Sequences decoding together: the asked concurrency, as far as memory holds them. */
  readonly running: number;
  readonly terms: TpotTerms;
  readonly tpotUs: number;
  readonly prefill: PrefillTerms;
  readonly ttftTerms: TtftTerms;
  readonly ttftUs: number;
}

/**
 * What a deployment does at an operating point, from facts alone; microseconds. Throws `invalid_request` naming what is
 * missing. Formulas and constants: docs/performance-model.md.
 */
export function performanceOf(deployment: Deployment, point: OperatingPoint, load: Load = STEADY): Performance {
  checkDeployment(deployment);
  const { concurrency, outputTokens, promptTokens } = point;
  checkPositive({ concurrency, outputTokens, promptTokens });
  const reserved = CONSTANTS.reservedOutput[deployment.engine] * outputTokens;
  const capacity = capacityOf(deployment, promptTokens + reserved);
  const running = Math.min(concurrency, capacity.sequencesMax);
  const decode = decodeTerms(deployment, { sequences: running, contextTokens: promptTokens + outputTokens / 2 });
  const prefill = prefillTerms(deployment, promptTokens);
  const others = perRank(deployment, running);
  const terms = { ...decode, interferenceUs: interferenceUs(deployment, prefill, others, outputTokens, load) };
  const tpotUs = sum(terms);
  const ttftTerms = {
    fixedUs: CONSTANTS.ttftFixedUs[deployment.engine],
    prefillUs: queuedPrefillUs(deployment, prefill, others, load),
    decodeUs: CONSTANTS.ttftSteps * sum(decode),
    overflowUs: CONSTANTS.ttftOverflow * Math.max(0, concurrency / running - 1) * outputTokens * tpotUs,
  };
  return { ...capacity, running, terms, tpotUs, prefill, ttftTerms, ttftUs: sum(ttftTerms) };
}

/** While a request writes its answer, every other one of its rank is prefilled once; in a burst, mostly before it. */
function interferenceUs(
  deployment: Deployment,
  prefill: PrefillTerms,
  perRank: number,
  outputTokens: number,
  { firstWave }: Load,
): number {
  const { attentionData } = deployment.parallelism;
  const waiting = attentionData > 1 ? CONSTANTS.interferenceAttentionData : 1;
  const others = Math.max(perRank * waiting - 0.5, 0.3);
  const early = 1 - firstWave * (1 - CONSTANTS.interferenceBurst);
  const eachUs = prefillUs(deployment, prefill, CONSTANTS.launchInterference);
  return (CONSTANTS.interference[deployment.engine] * early * others * eachUs) / outputTokens;
}

/** Own prefill and those before it: half of the others in a burst, half of those in step in a loop. */
function queuedPrefillUs(
  deployment: Deployment,
  prefill: PrefillTerms,
  perRank: number,
  { firstWave, inStep }: Load,
): number {
  const { engine, parallelism } = deployment;
  const others = Math.max(0, perRank - 1);
  const before =
    (firstWave / 2) * others + (1 - firstWave) * (CONSTANTS.ttftDrift[engine] * others + Math.min(others, inStep) / 2);
  const ranks = parallelism.attentionData > 1 ? CONSTANTS.ttftAttentionData : 1;
  return CONSTANTS.ttftPrefill * prefillUs(deployment, prefill) * ranks * (1 + before);
}

/** Sequences of one attention rank and pipeline batch. */
function perRank({ parallelism: { attentionData, pipeline } }: Deployment, sequences: number): number {
  return Math.max(1, sequences / (attentionData * pipeline));
}

function sum(parts: TpotTerms | TtftTerms | DecodeTerms): number {
  return Object.values(parts).reduce((total, us) => total + us, 0);
}
