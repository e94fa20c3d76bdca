import type { Scaler, ScalingDecision, ScalingObservation } from '../../core/serving/scaling/observation.ts';
import { totalUs, type WorkCoefficients, workOf } from '../../core/serving/work.ts';
import type { TraceRequest } from '../../workload/trace.ts';

const BIN_MS = 10_000;

/** KV cache that requests take, where that is what units lack. */
export interface CacheNeed {
  /** Of a unit. */
  readonly kvTokens: number;
  /** Time per token of a unit whose cache is half full. */
  readonly tpotMs: number;
}

/**
 * What a trace needs of units over time, true lengths and all, as a clairvoyant schedule knows it: the more of the work
 * that comes, and of the KV cache that is in use while answers grow.
 */
export class FutureNeed {
  readonly #work: number[] = [];
  readonly #cache: number[] = [];

  constructor(trace: Iterable<TraceRequest>, coefficients: WorkCoefficients, cache?: CacheNeed) {
    for (const { atMs, outputTokens, promptTokens } of trace) {
      const tokens = {
        promptTokens: Math.max(1, promptTokens),
        cachedTokens: 0,
        outputTokens: Math.max(1, outputTokens),
      };
      const work = totalUs(workOf(coefficients, tokens)) / (1000 * BIN_MS);
      add(this.#work, Math.floor(atMs / BIN_MS), work);
      if (cache !== undefined) this.#hold(atMs, tokens, cache);
    }
  }

  /** Prompt and half of the answer, on average, for as long as it decodes. */
  #hold(
    atMs: number,
    { outputTokens, promptTokens }: { readonly outputTokens: number; readonly promptTokens: number },
    { kvTokens, tpotMs }: CacheNeed,
  ): void {
    const endMs = atMs + tpotMs * outputTokens;
    const units = (promptTokens + outputTokens / 2) / kvTokens;
    for (let bin = Math.floor(atMs / BIN_MS); bin * BIN_MS < endMs; bin += 1) {
      const ms = Math.min(endMs, (bin + 1) * BIN_MS) - Math.max(atMs, bin * BIN_MS);
      add(this.#cache, bin, (units * ms) / BIN_MS);
    }
  }

  #at(bin: number): number {
    return Math.max(this.#work[bin] ?? 0, this.#cache[bin] ?? 0);
  }

  /** The most in [fromMs, untilMs], each moment the mean of the 30 s around it: queues even out what is shorter. */
  maxIn(fromMs: number, untilMs: number): number {
    let max = 0;
    for (let bin = Math.max(0, Math.floor(fromMs / BIN_MS)); bin <= Math.floor(untilMs / BIN_MS); bin += 1) {
      const around = (this.#at(bin - 1) + this.#at(bin) + this.#at(bin + 1)) / 3;
      max = Math.max(max, around);
    }
    return max;
  }
}

/** A schedule by someone who knows the trace: k × the work to come until a unit launched now would be ready, and a minute on. */
export class OracleScaler implements Scaler {
  readonly #need: FutureNeed;
  readonly #coefficient: number;

  constructor(need: FutureNeed, coefficient: number) {
    this.#need = need;
    this.#coefficient = coefficient;
  }

  decide({ startupMs }: ScalingObservation, nowMs: number): ScalingDecision {
    const need = this.#need.maxIn(nowMs - 60_000, nowMs + startupMs + 60_000);
    return { desiredUnits: Math.ceil(this.#coefficient * need), reason: `${need.toFixed(1)} units of work to come` };
  }
}

function add(bins: number[], bin: number, value: number): void {
  while (bins.length <= bin) bins.push(0);
  bins[bin] = (bins[bin] as number) + value;
}
