/**
 * How slow a replica is beside its peers, with the load of what was measured taken into account. Times of engines are
 * about affine in their load, t = a + b·x with a, b ≥ 0. Of two healthy machines the one with more load takes at most as
 * many times longer as it has more load; the one with less load takes no longer. So a machine that is slower both as
 * measured and per load is slower at any a and b: slowness is the smaller of the two ratios.
 */
export interface PaceSample {
  /** Measured. */
  readonly ms: number;
  /** What it had to do meanwhile, in any unit that all peers share; > 0. */
  readonly load: number;
  /** What the profile says that this takes; > 0. */
  readonly soldMs: number;
}

/** Weight of a new sample: the mean is over about the last eight. */
const SAMPLE_WEIGHT = 1 / 8;

/** Geometric means of the last samples of one replica: one wild sample moves them little. */
export class Pace {
  samples = 0;
  #lnMs = 0;
  #lnPerLoad = 0;
  #lnPerSold = 0;

  add({ ms, load, soldMs }: PaceSample): void {
    if (!(ms > 0 && load > 0 && soldMs > 0)) return;
    this.samples += 1;
    const weight = Math.max(SAMPLE_WEIGHT, 1 / this.samples);
    this.#lnMs += weight * (Math.log(ms) - this.#lnMs);
    this.#lnPerLoad += weight * (Math.log(ms / load) - this.#lnPerLoad);
    this.#lnPerSold += weight * (Math.log(ms / soldMs) - this.#lnPerSold);
  }

  /** Starts anew: what was measured before says nothing about now. */
  clear(): void {
    this.samples = 0;
    this.#lnMs = this.#lnPerLoad = this.#lnPerSold = 0;
  }

  get ms(): number {
    return Math.exp(this.#lnMs);
  }

  get perLoad(): number {
    return Math.exp(this.#lnPerLoad);
  }

  /** Times what was sold. */
  get perSold(): number {
    return Math.exp(this.#lnPerSold);
  }
}

/**
 * Of each pace, how many times slower than the median of the others; 0 where it or all others have fewer than
 * `samplesMin` samples. O(n log n).
 */
export function slownesses(paces: readonly Pace[], samplesMin: number): number[] {
  const known = paces.filter(({ samples }) => samples >= samplesMin);
  const ms = known.map((pace) => pace.ms).sort(ascending);
  const perLoad = known.map((pace) => pace.perLoad).sort(ascending);
  return paces.map((pace) => {
    if (pace.samples < samplesMin || known.length < 2) return 0;
    return Math.min(pace.ms / medianWithout(ms, pace.ms), pace.perLoad / medianWithout(perLoad, pace.perLoad));
  });
}

const ascending = (a: number, b: number) => a - b;

/** Median of what is sorted, one occurrence of `value` left out; of an even count the upper one, which accuses less. */
function medianWithout(sorted: readonly number[], value: number): number {
  const middle = (sorted.length - 1) >> 1;
  const at = sorted[middle] as number;
  // Leaving out one at or below the middle moves all above it down by one.
  return value <= at ? (sorted[middle + 1] as number) : at;
}
