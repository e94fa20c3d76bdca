/** Counts of positive values in bins that widen by 2 %: quantiles within 2 % at any number of values, in a fixed memory. */
const GROWTH = 1.02;
const SMALLEST_MS = 0.01;
const BINS = 1100;

export interface Bin {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly count: number;
}

export class Histogram {
  readonly #counts = new Uint32Array(BINS);
  count = 0;
  #sumMs = 0;
  #maxMs = 0;

  /** Values below 0.01 ms fall in the first bin, above some 28,000 s in the last. */
  add(valueMs: number): void {
    const bin = valueMs < SMALLEST_MS ? 0 : 1 + Math.floor(Math.log(valueMs / SMALLEST_MS) / Math.log(GROWTH));
    const at = Math.min(BINS - 1, bin);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.count += 1;
    this.#sumMs += valueMs;
    this.#maxMs = Math.max(this.#maxMs, valueMs);
  }

  meanMs(): number {
    return this.count === 0 ? 0 : this.#sumMs / this.count;
  }

  maxMs(): number {
    return this.#maxMs;
  }

  /** The upper edge of the bin that holds the quantile, at most the maximum. 0 of nothing. */
  quantileMs(share: number): number {
    const wanted = Math.max(1, Math.ceil(share * this.count));
    let seen = 0;
    for (const [bin, count] of this.#counts.entries()) {
      seen += count;
      if (count > 0 && seen >= wanted) return Math.min(this.#maxMs, edgeMs(bin));
    }
    return 0;
  }

  /** The bins that hold something. */
  bins(): Bin[] {
    return [...this.#counts.entries()].flatMap(([bin, count]) =>
      count === 0 ? [] : [{ fromMs: bin === 0 ? 0 : edgeMs(bin - 1), untilMs: edgeMs(bin), count }],
    );
  }
}

const edgeMs = (bin: number) => SMALLEST_MS * GROWTH ** bin;
