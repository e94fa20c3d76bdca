import { type Capacity, capacityOf } from './performance/capacity.ts';
import { CONSTANTS } from './performance/constants.ts';
import { type DecodeTerms, decodeTerms } from './performance/decode.ts';
import type { Deployment, OperatingPoint } from './performance/facts.ts';
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

/** `steady`: a closed loop beyond its first wave. `burst`: all requests start at once. */
export type Load = 'steady' | 'burst';

export interface Performance extends Capacity {
  /** Sequences decoding together: the asked concurrency, as far as memory holds them. */
  readonly running: number;
  readonly terms: TpotTerms;
  readonly tpotUs: number;
  readonly prefill: PrefillTerms;
  readonly ttftParts: Readonly<Record<Load, TtftTerms>>;
  readonly ttftUs: Readonly<Record<Load, number>>;
}

/**
 * What a deployment does at an operating point, from facts alone; microseconds. Formulas and constants:
 * docs/performance-model.md.
 */
export function performanceOf(deployment: Deployment, point: OperatingPoint, load: Load = 'steady'): Performance {
  const { concurrency, outputTokens, promptTokens } = point;
  const capacity = capacityOf(deployment, promptTokens + outputTokens);
  const running = Math.min(concurrency, capacity.sequencesMax);
  const decode = decodeTerms(deployment, { sequences: running, contextTokens: promptTokens + outputTokens / 2 });
  const prefill = prefillTerms(deployment, promptTokens);
  const terms = { ...decode, interferenceUs: interferenceUs(deployment, prefill, running, outputTokens, load) };
  const tpotUs = sum(terms);
  const ttft = (load: Load): TtftTerms => ({
    fixedUs: CONSTANTS.ttftFixedUs[deployment.engine],
    prefillUs: queuedPrefillUs(deployment, prefill, running, load),
    decodeUs: CONSTANTS.ttftSteps * sum(decode),
    overflowUs: CONSTANTS.ttftOverflow * Math.max(0, concurrency / running - 1) * outputTokens * tpotUs,
  });
  const ttftParts = { steady: ttft('steady'), burst: ttft('burst') };
  return {
    ...capacity,
    running,
    terms,
    tpotUs,
    prefill,
    ttftParts,
    ttftUs: { steady: sum(ttftParts.steady), burst: sum(ttftParts.burst) },
  };
}

/** While a request writes its answer, every other one of its rank is prefilled once. */
function interferenceUs(
  deployment: Deployment,
  prefill: PrefillTerms,
  running: number,
  outputTokens: number,
  load: Load,
): number {
  const { attentionData } = deployment.parallelism;
  const waiting = attentionData > 1 ? CONSTANTS.interferenceAttentionData : 1;
  const others = Math.max(perRank(deployment, running) * waiting - 0.5, 0.3);
  const factor = CONSTANTS.interference[deployment.engine] * (load === 'burst' ? CONSTANTS.interferenceBurst : 1);
  return (factor * others * prefillUs(deployment, prefill, CONSTANTS.launchInterference)) / outputTokens;
}

function queuedPrefillUs(deployment: Deployment, prefill: PrefillTerms, running: number, load: Load): number {
  const { engine, parallelism } = deployment;
  const slope = CONSTANTS.ttftQueue[engine] * (load === 'burst' ? CONSTANTS.ttftQueueBurst : 1);
  const queued = 1 + slope * Math.max(0, perRank(deployment, running) - 1) ** CONSTANTS.ttftQueueExponent;
  const ranks = parallelism.attentionData > 1 ? CONSTANTS.ttftAttentionData : 1;
  return CONSTANTS.ttftPrefill * prefillUs(deployment, prefill) * ranks * queued;
}

function perRank({ parallelism: { attentionData, pipeline } }: Deployment, sequences: number): number {
  return Math.max(1, sequences / (attentionData * pipeline));
}

function sum(parts: TpotTerms | TtftTerms | DecodeTerms): number {
  return Object.values(parts).reduce((total, us) => total + us, 0);
}
