/**
 * How much of what the ready units supply was let in lately, and whether it has been too much for long. What was let in
 * counts by exp(−age ÷ 30 s), over what the units supply in as much time; a settlement corrects it. An episode begins when
 * the utilization has been above `highShare` for `sustainMs`, and ends when it has been below 7/8 of that for as long: one
 * that hovers about the line is one episode. Time is passed in.
 */
export interface UtilizationLimits {
  readonly highShare: number;
  readonly sustainMs: number;
}

/** Time constant of the mean, ms. */
const MEMORY_MS = 30_000;
const LOW_OF_HIGH = 7 / 8;
const US_PER_UNIT_MS = 1_000;

export class Utilization {
  readonly #limits: UtilizationLimits;
  /** Work let in, fading. */
  #recentUs = 0;
  #atMs: number;
  #isHigh = false;
  /** Since when it has been on the other side of the line than the episode says; null: it is not. */
  #otherSinceMs: number | null = null;
  #episodes = 0;
  #share = 0;
  /** What other gateways of the same served model last said of themselves. */
  #elsewhere = 0;

  constructor(limits: UtilizationLimits, nowMs: number) {
    this.#limits = limits;
    this.#atMs = nowMs;
  }

  /** The share over all gateways as of the last call of `add` or `observe`, before what that added. */
  get latest(): number {
    return this.#share + this.#elsewhere;
  }

  get isHigh(): boolean {
    return this.#isHigh;
  }

  /** Begun so far. */
  get episodes(): number {
    return this.#episodes;
  }

  /** From now on other gateways use so much of the capacity, as a share. */
  usedElsewhere(share: number): void {
    this.#elsewhere = share;
  }

  /** Work is let in, or with a negative delta given back. */
  add(deltaUs: number, units: number, nowMs: number): void {
    this.observe(units, nowMs);
    this.#recentUs = Math.max(0, this.#recentUs + deltaUs);
  }

  /** The share of capacity that is used here. All gateways' counts for the episode; to be called now and then when nothing comes. */
  observe(units: number, nowMs: number): number {
    const ms = Math.max(0, nowMs - this.#atMs);
    this.#recentUs *= Math.exp(-ms / MEMORY_MS);
    this.#atMs += ms;
    const suppliedUs = units * US_PER_UNIT_MS * MEMORY_MS;
    const share = suppliedUs > 0 ? this.#recentUs / suppliedUs : 0;
    this.#share = share;
    this.#judge(this.latest);
    return share;
  }

  #judge(share: number): void {
    const { highShare, sustainMs } = this.#limits;
    const isOther = this.#isHigh ? share < highShare * LOW_OF_HIGH : share > highShare;
    if (!isOther) this.#otherSinceMs = null;
    else this.#otherSinceMs ??= this.#atMs;
    if (this.#otherSinceMs === null || this.#atMs - this.#otherSinceMs < sustainMs) return;
    this.#isHigh = !this.#isHigh;
    this.#otherSinceMs = null;
    if (this.#isHigh) this.#episodes += 1;
  }
}
