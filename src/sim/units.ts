import { coefficientsOf, totalUs, workOf } from '../core/serving/work.ts';
import { type EngineConfig, type EngineRequest, simulateEngine } from './engine.ts';

export interface Percentiles {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
}

export interface UnitsResult {
  readonly ttftMs: Percentiles;
  /** null when no output is longer than one token. */
  readonly tpotMs: Percentiles | null;
  readonly preemptions: number;
  /** Share of prompt tokens that caches served. */
  readonly cachedShare: number;
  readonly endMs: number;
}

/** Requests on `units` engines, each given to the one with the least work before it; in any order of arrival. */
export function simulateUnits(config: EngineConfig, requests: readonly EngineRequest[], units: number): UnitsResult {
  const shares = dispatched(config, requests, units);
  const results = shares.filter((share) => share.length > 0).map((share) => simulateEngine(config, share));
  const served = results.flatMap((result) => result.requests);
  const tpot = served.flatMap(({ tpotMs }) => tpotMs ?? []);
  const promptTokens = requests.reduce((sum, request) => sum + request.promptTokens, 0);
  return {
    ttftMs: percentilesOf(served.map(({ ttftMs }) => ttftMs)),
    tpotMs: tpot.length === 0 ? null : percentilesOf(tpot),
    preemptions: results.reduce((sum, result) => sum + result.preemptions, 0),
    cachedShare: served.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0) / promptTokens,
    endMs: Math.max(...results.map(({ endMs }) => endMs)),
  };
}

/** As a router that knows each request's work: every unit works off 1,000 µs of it per ms. */
function dispatched(config: EngineConfig, requests: readonly EngineRequest[], units: number): EngineRequest[][] {
  const coefficients = coefficientsOf(config.step, config.prefillFixedUs, config.sequencesMax);
  const queues = Array.from({ length: units }, () => ({ freeAtMs: 0, requests: [] as EngineRequest[] }));
  for (const request of requests.toSorted((a, b) => a.atMs - b.atMs)) {
    const least = queues.reduce((a, b) => (b.freeAtMs < a.freeAtMs ? b : a));
    const workMs = totalUs(workOf(coefficients, { ...request, cachedTokens: request.cachedTokens ?? 0 })) / 1_000;
    least.freeAtMs = Math.max(least.freeAtMs, request.atMs) + workMs;
    least.requests.push(request);
  }
  return queues.map((queue) => queue.requests);
}

function percentilesOf(values: readonly number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
  return { mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length, p50: at(0.5), p95: at(0.95) };
}
