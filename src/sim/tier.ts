import { arrivalsWithin } from '../workload/arrivals.ts';
import { seededRandom } from '../workload/random.ts';
import { type EngineConfig, type EngineRequest, type EngineResult, simulateEngine } from './engine.ts';

/** What a tier is said to do, found by simulating load on its engine. All requests are alike. */
export interface RequestShape {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of the prompt; taken for nothing where the engine keeps no prefixes. */
  readonly cachedTokens?: number;
}

/** A machine that does both, or machines for prefill and decode; the time between these is not counted. */
export type UnitEngines = EngineConfig | { readonly prefill: EngineConfig; readonly decode: EngineConfig };

export interface LatencyQuantiles {
  readonly p50: number;
  readonly p95: number;
}

export interface TierLatency {
  readonly ttftMs: LatencyQuantiles;
  /** null with one token a request. */
  readonly tpotMs: LatencyQuantiles | null;
  /** Sequences that run (where roles are apart, that decode), mean over time. */
  readonly running: number;
}

const ROUNDS = 6;
const WINDOW_MS = 600_000;
const REQUESTS_MIN = 1_000;
const REQUESTS_MAX = 2_000;
const WINDOWS_MAX = 100;
const BISECTIONS = 12;

/**
 * Latencies under Poisson arrivals, over windows that begin idle and last ten minutes or 2,000 requests, as many as make
 * 1,000 requests. Below what the unit carries this is its steady state; at or above it, TTFT is mostly the queue that a
 * window builds up.
 */
export function tierLatency(unit: UnitEngines, shape: RequestShape, requestsPerS: number, seed: number): TierLatency {
  const random = seededRandom(seed);
  const windowMs = Math.min(WINDOW_MS, (1000 * REQUESTS_MAX) / requestsPerS);
  const windows = Math.min(WINDOWS_MAX, Math.ceil((1000 * REQUESTS_MIN) / (requestsPerS * windowMs)));
  const ttft: number[] = [];
  const tpot: number[] = [];
  let runningMs = 0;
  let spanMs = 0;
  for (let window = 0; window < windows; window += 1) {
    const arrivals = arrivalsWithin({ kind: 'poisson', ratePerS: requestsPerS }, windowMs, random);
    const { last, requests } = serve(unit, shape, arrivals);
    for (const { tpotMs, ttftMs } of requests) {
      ttft.push(ttftMs);
      if (tpotMs !== null) tpot.push(tpotMs);
    }
    runningMs += last.meanRunning * last.busyMs;
    spanMs += last.endMs;
  }
  return {
    ttftMs: quantilesOf(ttft),
    tpotMs: tpot.length === 0 ? null : quantilesOf(tpot),
    running: runningMs / spanMs,
  };
}

/** Targets at the 95th percentile, milliseconds. */
export interface Slo {
  readonly ttftMs?: number;
  readonly tpotMs?: number;
}

/**
 * Requests per second that a unit carries: of a queue that is never empty; with `slo` the highest Poisson rate that
 * meets it, 0 where none does.
 */
export function ratedRequestsPerS(unit: UnitEngines, shape: RequestShape, slo?: Slo, seed = 1): number {
  const saturated =
    'prefill' in unit
      ? Math.min(
          saturationPerS(unit.prefill, { ...shape, outputTokens: 1 }),
          shape.outputTokens > 1 ? saturationPerS(unit.decode, handedOver(shape)) : Number.POSITIVE_INFINITY,
        )
      : saturationPerS(unit, shape);
  if (slo === undefined) return saturated;
  let meets = 0;
  let misses = saturated;
  for (let turn = 0; turn < BISECTIONS; turn += 1) {
    const middle = (meets + misses) / 2;
    const { tpotMs, ttftMs } = tierLatency(unit, shape, middle, seed);
    if (ttftMs.p95 <= (slo.ttftMs ?? Infinity) && (tpotMs?.p95 ?? 0) <= (slo.tpotMs ?? Infinity)) meets = middle;
    else misses = middle;
  }
  return meets;
}

interface Served {
  readonly requests: readonly { readonly ttftMs: number; readonly tpotMs: number | null }[];
  /** Of the engine that answers. */
  readonly last: EngineResult;
}

function serve(unit: UnitEngines, shape: RequestShape, arrivals: readonly number[]): Served {
  const requests = arrivals.map((atMs) => ({ atMs, ...shape }));
  if (!('prefill' in unit)) {
    const last = simulateEngine(unit, requests);
    return { requests: last.requests, last };
  }
  const prefilled = simulateEngine(
    unit.prefill,
    requests.map((request) => ({ ...request, outputTokens: 1 })),
  );
  if (shape.outputTokens === 1) return { requests: prefilled.requests, last: prefilled };
  const last = simulateEngine(
    unit.decode,
    prefilled.requests.map(({ e2eMs }, index) => ({ atMs: arrivals[index]! + e2eMs, ...handedOver(shape) })),
  );
  return {
    requests: prefilled.requests.map(({ ttftMs }, index) => ({
      ttftMs,
      tpotMs: last.requests[index]!.e2eMs / (shape.outputTokens - 1),
    })),
    last,
  };
}

/** What decode machines get: a prompt whose cache comes with it, and its first token, which is the one to compute. */
function handedOver({ outputTokens, promptTokens }: RequestShape): RequestShape {
  return { promptTokens: promptTokens + 1, cachedTokens: promptTokens, outputTokens: outputTokens - 1 };
}

function saturationPerS(config: EngineConfig, shape: RequestShape): number {
  const batch = Math.max(1, Math.min(config.sequencesMax, Math.floor(config.kvTokens / tokensOf(shape))));
  // Sent over one round of the batch, not at once: sequences that begin together would end together for ever.
  const aloneMs = simulateEngine(config, [{ atMs: 0, ...shape }]).endMs;
  const requests: EngineRequest[] = Array.from({ length: (ROUNDS + 2) * batch + 2 }, (_, index) => ({
    atMs: (Math.min(index, batch) * aloneMs) / batch,
    ...shape,
  }));
  const ends = simulateEngine(config, requests)
    .requests.map(({ e2eMs }, index) => requests[index]!.atMs + e2eMs)
    .sort((a, b) => a - b);
  // Without the first and the last round, in which not all places are taken.
  const last = ends.length - 1 - batch;
  return (1000 * (last - batch)) / (ends[last]! - ends[batch]!);
}

function tokensOf({ outputTokens, promptTokens }: RequestShape): number {
  return promptTokens + outputTokens;
}

function quantilesOf(values: readonly number[]): LatencyQuantiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.floor(share * (sorted.length - 1))]!;
  return { p50: at(0.5), p95: at(0.95) };
}
