import type { Scaler, ScalingDecision, ScalingObservation } from '../../core/serving/scaling/observation.ts';
import { totalUs, type WorkCoefficients, workOf } from '../../core/serving/work.ts';
import type { TraceRequest } from '../../workload/trace.ts';

const BIN_MS = 10_000;

/** Work of a trace, true lengths and all, in units over time: what a clairvoyant schedule knows. */
export class FutureNeed {
  readonly #bins: number[] = [];

  constructor(trace: Iterable<TraceRequest>, coefficients: WorkCoefficients) {
    for (const { atMs, outputTokens, promptTokens } of trace) {
      const tokens = {
        promptTokens: Math.max(1, promptTokens),
        cachedTokens: 0,
        outputTokens: Math.max(1, outputTokens),
      };
      const bin = Math.floor(atMs / BIN_MS);
      while (this.#bins.length <= bin) this.#bins.push(0);
      this.#bins[bin] = (this.#bins[bin] as number) + totalUs(workOf(coefficients, tokens)) / (1000 * BIN_MS);
    }
  }

  /** The most in [fromMs, untilMs], each moment the mean of the 30 s around it: queues even out what is shorter. */
  maxIn(fromMs: number, untilMs: number): number {
    let max = 0;
    for (let bin = Math.max(0, Math.floor(fromMs / BIN_MS)); bin <= Math.floor(untilMs / BIN_MS); bin += 1) {
      const around = ((this.#bins[bin - 1] ?? 0) + (this.#bins[bin] ?? 0) + (this.#bins[bin + 1] ?? 0)) / 3;
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
