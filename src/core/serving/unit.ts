import { CubitError } from '../errors.ts';
import { disaggregatedLatencies, sharedLatencies } from './unit/latency.ts';
import { loadOf, type UnitFacts, workSOf } from './unit/load.ts';
import { checkMix, type LengthMix, meanOver, meanTokens, meanWorkUs, type Shape } from './unit/mix.ts';
import { occupancyOf } from './unit/occupancy.ts';
import type { Latency } from './unit/quantile.ts';
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

/** How vendors quote throughput: input to output 10 : 1; 2,000 : 200 where the context holds it. */
export function ratedShapeOf(contextTokens: number): Shape {
  const outputTokens = Math.max(1, Math.min(200, Math.floor(contextTokens / 11)));
  return { promptTokens: 10 * outputTokens, cachedTokens: 0, outputTokens };
}

/**
 * One unit under Poisson arrivals at `requestsPerS`. How many sequences it holds comes from a processor-sharing queue
 * (unit/occupancy.ts), latencies from the gated queue that chunked prefill is (unit/latency.ts). Checked against the
 * engine simulator in unit.test.ts. Throws `invalid_request` on impossible lengths and rates.
 */
export function predictUnit(unit: UnitFacts, mix: LengthMix, requestsPerS: number): UnitPrediction {
  checkMix(mix);
  if (!(requestsPerS > 0 && requestsPerS < Number.POSITIVE_INFINITY)) {
    throw new CubitError('invalid_request', `A rate of ${requestsPerS} requests a second cannot be: give more than 0.`);
  }
  const batch = batchOf(unit, mix);
  const work = meanWorkUs(coefficientsOf(unit.step, unit.prefillFixedUs, batch), mix);
  const prefillUtilisation = (requestsPerS * work.prefillUs) / 1e6;
  const decodeUtilisation = (requestsPerS * work.decodeUs) / 1e6;
  const utilisation = unit.disaggregated
    ? Math.max(prefillUtilisation, decodeUtilisation)
    : prefillUtilisation + decodeUtilisation;
  const used = { utilisation, prefillUtilisation, decodeUtilisation };
  const load = loadOf(unit, mix, requestsPerS);
  const occupancy = utilisation < 1 ? occupancyOf(requestsPerS, batch, (running) => workSOf(load, running)) : null;
  if (occupancy === null) {
    const kvTokens = batch * load.contextTokens;
    return { ...used, saturated: true, running: batch, kvTokens, ttftMs: null, tpotMs: null, waitShare: 1 };
  }
  const latencies = unit.disaggregated ? disaggregatedLatencies(load, occupancy) : sharedLatencies(load, occupancy);
  return {
    ...used,
    saturated: false,
    ...latencies,
    kvTokens: latencies.running * load.contextTokens,
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
