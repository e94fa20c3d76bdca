import { type Capacity, capacityOf } from './performance/capacity.ts';
import { CONSTANTS } from './performance/constants.ts';
import { type DecodeTerms, decodeTerms } from './performance/decode.ts';
import type { Deployment, OperatingPoint } from './performance/facts.ts';
import { type PrefillTerms, prefillTerms, prefillUs } from './performance/prefill.ts';

export interface Performance extends Capacity {
  /** Sequences decoding together: the asked concurrency, as far as memory holds them. */
  readonly running: number;
  /** Per output token; they add up to tpotUs. */
  readonly terms: DecodeTerms & { readonly interferenceUs: number };
  readonly tpotUs: number;
  readonly prefill: PrefillTerms;
  /** Closed loop after its first wave; and a load whose requests start at once. */
  readonly ttftUs: { readonly steady: number; readonly burst: number };
}

/**
 * What a deployment does at an operating point, from facts alone; microseconds. Formulas and constants:
 * docs/performance-model.md.
 */
export function performanceOf(
  deployment: Deployment,
  point: OperatingPoint,
  load: 'steady' | 'burst' = 'steady',
): Performance {
  const { concurrency, outputTokens, promptTokens } = point;
  const { attentionData, pipeline } = deployment.parallelism;
  const { engine } = deployment;
  const capacity = capacityOf(deployment, promptTokens + outputTokens);
  const running = Math.min(concurrency, capacity.sequencesMax);
  const decode = decodeTerms(deployment, { sequences: running, contextTokens: promptTokens + outputTokens / 2 });
  const stepUs = Object.values(decode).reduce((sum, us) => sum + us, 0);
  const prefill = prefillTerms(deployment, promptTokens);
  const perRank = Math.max(1, running / (attentionData * pipeline));
  const waiting = attentionData > 1 ? CONSTANTS.interferenceAttentionData : 1;
  const burstFactor = load === 'burst' ? CONSTANTS.interferenceBurst : 1;
  const interferenceUs =
    (CONSTANTS.interference[engine] *
      burstFactor *
      Math.max(perRank * waiting - 0.5, 0.3) *
      prefillUs(deployment, prefill, CONSTANTS.launchInterference)) /
    outputTokens;
  const tpotUs = stepUs + interferenceUs;
  const ttft = (queue: number) =>
    CONSTANTS.ttftFixedUs[engine] +
    CONSTANTS.ttftPrefill *
      prefillUs(deployment, prefill) *
      (attentionData > 1 ? CONSTANTS.ttftAttentionData : 1) *
      (1 + queue * Math.max(0, perRank - 1) ** CONSTANTS.ttftQueueExponent) +
    CONSTANTS.ttftSteps * stepUs +
    CONSTANTS.ttftOverflow * Math.max(0, concurrency / running - 1) * outputTokens * tpotUs;
  return {
    ...capacity,
    running,
    terms: { ...decode, interferenceUs },
    tpotUs,
    prefill,
    ttftUs: {
      steady: ttft(CONSTANTS.ttftQueue[engine]),
      burst: ttft(CONSTANTS.ttftQueue[engine] * CONSTANTS.ttftQueueBurst),
    },
  };
}
