import { decodeLatency, type Latency, prefillLatency } from './unit/latency.ts';
import { decodeLoadOf, stepSOf, type UnitFacts, type UnitLoad } from './unit/load.ts';
import { checkMix, type LengthMix, meanOver, meanTokens, meanWorkUs, type Shape } from './unit/mix.ts';
import { type Occupancy, occupancyOf } from './unit/occupancy.ts';
import { coefficientsOf } from './work.ts';

/** `saturated`: more arrives than the unit can do; then there are no latencies. */
export interface UnitPrediction {
  readonly saturated: boolean;
  /** Work that arrives over work that is supplied; of a disaggregated unit the larger pool's. */
  readonly utilisation: number;
  readonly prefillUtilisation: number;
  readonly decodeUtilisation: number;
  /** Sequences that run, mean. */
  readonly running: number;
  /** Tokens of KV cache in use, mean. */
  readonly kvTokens: number;
  readonly ttftMs: Latency | null;
  readonly tpotMs: Latency | null;
  /** Share of requests that wait because all places are taken. */
  readonly waitShare: number;
}

/** What one unit carries at full use of its work. */
export interface Rating {
  readonly requestsPerS: number;
  /** Input and output tokens together. */
  readonly tokensPerS: number;
  /** Sequences in flight at most: the tier's batch, or what the KV cache holds. */
  readonly concurrencyMax: number;
  /** The first to run out: KV memory, the batch (a larger one would carry more), or work. */
  readonly limit: 'kv' | 'batch' | 'work';
}

/** How vendors quote throughput: input to output 10 : 1, here at lengths of a common chat with context. */
export const RATED_SHAPE: Shape = { promptTokens: 2_000, cachedTokens: 0, outputTokens: 200 };

/**
 * One unit under Poisson arrivals. With λ requests/s, prefill W of a request, m output tokens and a mean context c:
 * while i sequences run, a step lasts t(i) = (τ0 + (τ3 + τ4·c)·i) ÷ (1 − λ·W), for in the time of a step prefill of
 * λ·W times that time arrives and is done between (chunked prefill, decode first). occupancy.ts gives from it how many
 * run, latency.ts how long tokens take. Throws `invalid_request` on impossible lengths.
 */
export function predictUnit(unit: UnitFacts, mix: LengthMix, requestsPerS: number): UnitPrediction {
  checkMix(mix);
  const batch = batchOf(unit, mix);
  const work = meanWorkUs(coefficientsOf(unit.step, unit.prefillFixedUs, batch), mix);
  const prefillUtilisation = (requestsPerS * work.prefillUs) / 1e6;
  const decodeUtilisation = (requestsPerS * work.decodeUs) / 1e6;
  const utilisation = unit.disaggregated
    ? Math.max(prefillUtilisation, decodeUtilisation)
    : prefillUtilisation + decodeUtilisation;
  const load = { unit, mix, requestsPerS, decode: decodeLoadOf(unit, mix) };
  const occupancy = utilisation < 1 ? occupancyAt(load, batch) : null;
  const common = { utilisation, prefillUtilisation, decodeUtilisation };
  if (occupancy === null) {
    const kvTokens = batch * load.decode.contextTokens;
    return { ...common, saturated: true, running: batch, kvTokens, ttftMs: null, tpotMs: null, waitShare: 1 };
  }
  return {
    ...common,
    saturated: false,
    running: occupancy.running,
    kvTokens: occupancy.running * load.decode.contextTokens,
    ttftMs: prefillLatency(load, occupancy),
    tpotMs: decodeLatency(load, occupancy),
    waitShare: occupancy.waitShare,
  };
}

/** The most a unit carries at these lengths: where its work is all used. `tokensPerS` counts input and output. */
export function ratingOf(unit: UnitFacts, mix: LengthMix): Rating {
  checkMix(mix);
  const batch = batchOf(unit, mix);
  const coefficients = coefficientsOf(unit.step, unit.prefillFixedUs, batch);
  const { prefillUs, decodeUs } = meanWorkUs(coefficients, mix);
  const requestsPerS = 1e6 / (unit.disaggregated ? Math.max(prefillUs, decodeUs) : prefillUs + decodeUs);
  const fixedUs = (unit.step.tau0Us / batch) * meanOver(mix, ({ outputTokens }) => outputTokens);
  const binds = unit.disaggregated ? Math.max(prefillUs, decodeUs) : prefillUs + decodeUs;
  return {
    requestsPerS,
    tokensPerS: requestsPerS * meanTokens(mix),
    concurrencyMax: batch,
    limit: batch < unit.batch ? 'kv' : fixedUs > binds / 2 ? 'batch' : 'work',
  };
}

/** Sequences together at most: B*, or as many whole requests as the KV cache holds (admission reserves prompt + output). */
function batchOf({ batch, kvTokensPerUnit }: UnitFacts, mix: LengthMix): number {
  return Math.max(1, Math.min(batch, Math.floor(kvTokensPerUnit / Math.max(1, meanTokens(mix)))));
}

function occupancyAt(load: UnitLoad, batch: number): Occupancy | null {
  const { decode, requestsPerS } = load;
  return occupancyOf(requestsPerS, decode.steps, batch, (running) => stepSOf(load, running));
}
