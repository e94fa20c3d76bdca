import { totalUs } from '../core/serving/work.ts';
import type { Exchange } from './exchange.ts';

/** What scaling is told of a served model besides what its admission holds now. Totals only grow. */
export interface SignalsView {
  /** Work that was refused or ran out of time waiting, unit-microseconds. */
  readonly refusedUs: number;
  /** Prefill of requests that ended. */
  readonly prefillUs: number;
  /** Of requests that ended in the last minute, waiting included; null: too few to say. */
  readonly ttftMsP95: number | null;
  readonly tpotMsP95: number | null;
}

const KEPT_MAX = 256;
const AGE_MS_MAX = 60_000;
const SAMPLES_MIN = 10;
const REFUSED = new Set(['rejected_capacity', 'rejected_unready', 'expired']);

export class Signals {
  #refusedUs = 0;
  #prefillUs = 0;
  readonly #ttft = new Recent();
  readonly #tpot = new Recent();

  ended(exchange: Exchange, nowMs: number): void {
    const { outcome, estimate, actual, ttftMs, tpotMs, waitMs } = exchange;
    if (REFUSED.has(outcome)) this.#refusedUs += estimate === null ? 0 : totalUs(estimate.work);
    this.#prefillUs += actual.prefillUs;
    if (ttftMs !== null) this.#ttft.add(waitMs + ttftMs, nowMs);
    if (tpotMs !== null) this.#tpot.add(tpotMs, nowMs);
  }

  view(nowMs: number): SignalsView {
    return {
      refusedUs: this.#refusedUs,
      prefillUs: this.#prefillUs,
      ttftMsP95: this.#ttft.p95(nowMs),
      tpotMsP95: this.#tpot.p95(nowMs),
    };
  }
}

/** The last values, at most so many and so old. */
class Recent {
  readonly #values = new Float64Array(KEPT_MAX);
  readonly #atMs = new Float64Array(KEPT_MAX).fill(Number.NEGATIVE_INFINITY);
  #next = 0;

  add(value: number, atMs: number): void {
    this.#values[this.#next] = value;
    this.#atMs[this.#next] = atMs;
    this.#next = (this.#next + 1) % KEPT_MAX;
  }

  p95(nowMs: number): number | null {
    const fresh = this.#values.filter((_, i) => this.#atMs[i]! > nowMs - AGE_MS_MAX).sort();
    return fresh.length < SAMPLES_MIN ? null : fresh[Math.ceil(fresh.length * 0.95) - 1]!;
  }
}
