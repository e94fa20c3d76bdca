/**
 * Lengths in tokens as a histogram that forgets: bins a quarter of an octave wide (19 %), so that a quantile costs the
 * same however much was seen. Bin b holds lengths in (2^((b−1)/4), 2^(b/4)].
 */
const BINS_PER_OCTAVE = 4;
/** Up to 2^20 tokens; longer counts as that. */
const BINS = 20 * BINS_PER_OCTAVE + 1;
/** New lengths weigh ever more instead of old ones ever less; past this all are scaled back (32-bit floats hold it). */
const GRAIN_MAX = 1e6;

/** What each bin holds of the whole; sums to 1. */
export type Shares = Float64Array;

export class LengthHistogram {
  readonly #counts = new Float32Array(BINS);
  readonly #growth: number;
  #grain = 1;
  #total = 0;

  /** `window`: after so many more lengths an old one weighs 1/e of a new one. */
  constructor(window: number) {
    this.#growth = Math.exp(1 / window);
  }

  add(tokens: number): void {
    this.#put(binOf(tokens), this.#grow());
  }

  /** A length of at least so many tokens: it counts where the longer ones of `expected` are (Efron 1967). */
  addAtLeast(tokens: number, expected: Shares): void {
    const grain = this.#grow();
    const first = binOf(tokens);
    let beyond = 0;
    for (let bin = first + 1; bin < BINS; bin += 1) beyond += expected[bin] as number;
    if (beyond === 0) this.#put(first, grain);
    else for (let bin = first + 1; bin < BINS; bin += 1) this.#put(bin, (grain * (expected[bin] as number)) / beyond);
  }

  /** The shares where what is behind weighs as much as `behindWeight` of the newest lengths. */
  sharesOver(behind: Shares, behindWeight: number): Shares {
    const shares = new Float64Array(BINS);
    const own = 1 / this.#grain;
    const scale = 1 / (this.#total * own + behindWeight);
    for (let bin = 0; bin < BINS; bin += 1) {
      shares[bin] = ((this.#counts[bin] as number) * own + behindWeight * (behind[bin] as number)) * scale;
    }
    return shares;
  }

  #grow(): number {
    this.#grain *= this.#growth;
    if (this.#grain > GRAIN_MAX) {
      for (let bin = 0; bin < BINS; bin += 1) this.#counts[bin] = (this.#counts[bin] as number) / this.#grain;
      this.#total /= this.#grain;
      this.#grain = 1;
    }
    return this.#grain;
  }

  #put(bin: number, weight: number): void {
    this.#counts[bin] = (this.#counts[bin] as number) + weight;
    this.#total += weight;
  }
}

/** All of it at one length. */
export function sharesAt(tokens: number): Shares {
  const shares = new Float64Array(BINS);
  shares[binOf(tokens)] = 1;
  return shares;
}

/** The length that the share `quantile` does not exceed, in tokens, linear inside a bin. */
export function quantileOf(shares: Shares, quantile: number): number {
  let below = 0;
  for (let bin = 0; bin < BINS; bin += 1) {
    const share = shares[bin] as number;
    if (below + share >= quantile) {
      const low = bin === 0 ? 1 : edge(bin - 1);
      return low + ((quantile - below) / share) * (edge(bin) - low);
    }
    below += share;
  }
  return edge(BINS - 1);
}

/** How long answers are, in tokens. */
export interface LengthShape {
  readonly mean: number;
  readonly deviation: number;
  /** What of them is there at a random moment of decoding: E[m²] ÷ 2E[m], the mean age of renewal theory. */
  readonly age: number;
}

/** Bins count at their middle. */
export function shapeOf(shares: Shares): LengthShape {
  let mean = 0;
  let square = 0;
  for (let bin = 0; bin < BINS; bin += 1) {
    const tokens = bin === 0 ? 1 : (edge(bin - 1) + edge(bin)) / 2;
    mean += (shares[bin] as number) * tokens;
    square += (shares[bin] as number) * tokens * tokens;
  }
  return { mean, deviation: Math.sqrt(Math.max(0, square - mean * mean)), age: square / (2 * mean) };
}

function binOf(tokens: number): number {
  // Rounded, so that a power of two is in the bin that it closes.
  const position = Math.round(Math.log2(Math.max(1, tokens)) * BINS_PER_OCTAVE * 1e6) / 1e6;
  return Math.min(BINS - 1, Math.ceil(position));
}

function edge(bin: number): number {
  return 2 ** (bin / BINS_PER_OCTAVE);
}
