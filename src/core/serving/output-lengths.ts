import { LengthHistogram, type LengthShape, quantileOf, type Shares, shapeOf, sharesAt } from './length-histogram.ts';

export interface LengthOptions {
  /** Which share of answers should be no longer than the estimate. */
  readonly quantile: number;
  /** The estimate before anything is known, tokens. */
  readonly priorTokens: number;
  /** Learners kept, about 2 KB each; the least recently used is forgotten. */
  readonly learnersMax: number;
}

export const LENGTH_OPTIONS: LengthOptions = { quantile: 0.9, priorTokens: 256, learnersMax: 10_000 };

/** What is behind a histogram (the prior behind an endpoint, the endpoint behind a key) weighs so many lengths. */
const PRIOR_WEIGHT = 3;
const ENDPOINT_WEIGHT = 20;
/** Two memories: steady traffic wants the long one (less noise), a change of the traffic the short one. */
const LONG_WINDOW = 2_000;
const SHORT_WINDOW = 100;
const LOSS_WINDOW = 400;
/** The short memory must have been better by this much, or noise would choose. */
const SHORT_ADVANTAGE = 0.95;
/** Quantiles are taken anew after each of the first answers, then after every few: they hardly move, and cost most. */
const REFRESH_ALWAYS = 32;
const REFRESH_EVERY = 16;

/**
 * How long an answer will be, which nobody knows when a request comes: an upper quantile of the lengths of finished
 * answers, never of the request's own (invariant 6). Per endpoint and API key; a key of which little is known takes its
 * endpoint's. Figures on public traces: docs/work.md.
 */
export class OutputLengths {
  readonly #options: LengthOptions;
  readonly #learners = new Map<string, Learner>();
  readonly #prior: Shares;
  readonly #priorShape: LengthShape;

  constructor(options: LengthOptions = LENGTH_OPTIONS) {
    this.#options = options;
    this.#prior = sharesAt(options.priorTokens);
    // As uncertain as if the length of an answer did not depend on what it had so far.
    const mean = options.priorTokens;
    this.#priorShape = { mean, deviation: mean, age: mean };
  }

  /** Tokens to reserve: at least 1 and at most `maxTokens`. */
  estimate(endpointId: string, keyId: string, maxTokens: number): number {
    const learner = this.#learners.get(keyOf(endpointId, keyId)) ?? this.#learners.get(endpointId);
    const tokens = learner?.estimate ?? this.#options.priorTokens;
    return Math.max(1, Math.min(maxTokens, Math.ceil(tokens)));
  }

  /** How long answers are, of which `estimate` takes an upper quantile. */
  shape(endpointId: string, keyId: string): LengthShape {
    const learner = this.#learners.get(keyOf(endpointId, keyId)) ?? this.#learners.get(endpointId);
    return learner?.shape ?? this.#priorShape;
  }

  /**
   * A whole answer of `tokens` was delivered, where at most `maxTokens` could be: one that was cut off there says only
   * that it would have been longer.
   */
  observe(endpointId: string, keyId: string, tokens: number, maxTokens: number): void {
    const cut = tokens >= maxTokens;
    const endpoint = this.#use(endpointId, PRIOR_WEIGHT);
    const key = this.#use(keyOf(endpointId, keyId), ENDPOINT_WEIGHT);
    key.observe(tokens, cut, endpoint.shares ?? this.#prior);
    endpoint.observe(tokens, cut, this.#prior);
  }

  #use(id: string, behindWeight: number): Learner {
    const { learnersMax, quantile } = this.#options;
    const known = this.#learners.get(id);
    // Whose turn it is to be forgotten matters only when that is near.
    if (known !== undefined && this.#learners.size < learnersMax / 2) return known;
    const learner = known ?? new Learner(quantile, behindWeight);
    this.#learners.delete(id);
    this.#learners.set(id, learner);
    if (this.#learners.size > learnersMax) {
      for (const oldest of this.#learners.keys()) {
        this.#learners.delete(oldest);
        break;
      }
    }
    return learner;
  }
}

function keyOf(endpointId: string, keyId: string): string {
  return `${endpointId}/${keyId}`;
}

/** One endpoint's or key's lengths in both memories, and how well each foretold the latest. */
class Learner {
  /** The quantile as of the last refresh, tokens; null before any answer. */
  estimate: number | null = null;
  /** What the estimate is the quantile of. */
  shares: Shares | null = null;
  shape: LengthShape | null = null;
  readonly #quantile: number;
  readonly #behindWeight: number;
  readonly #long = new Memory(LONG_WINDOW);
  readonly #short = new Memory(SHORT_WINDOW);
  #seen = 0;

  constructor(quantile: number, behindWeight: number) {
    this.#quantile = quantile;
    this.#behindWeight = behindWeight;
  }

  observe(tokens: number, cut: boolean, behind: Shares): void {
    for (const memory of [this.#long, this.#short]) {
      if (cut) memory.histogram.addAtLeast(tokens, memory.shares ?? behind);
      else {
        memory.lossTokens *= 1 - 1 / LOSS_WINDOW;
        if (memory.estimate !== null) memory.lossTokens += pinballLoss(tokens, memory.estimate, this.#quantile);
        memory.histogram.add(tokens);
      }
    }
    this.#seen += 1;
    if (this.#seen > REFRESH_ALWAYS && this.#seen % REFRESH_EVERY !== 0) return;
    for (const memory of [this.#long, this.#short]) memory.refresh(this.#quantile, behind, this.#behindWeight);
    const { lossTokens } = this.#short;
    const best = lossTokens < SHORT_ADVANTAGE * this.#long.lossTokens ? this.#short : this.#long;
    this.estimate = best.estimate;
    this.shares = best.shares;
    this.shape = best.shares && shapeOf(best.shares);
  }
}

class Memory {
  readonly histogram: LengthHistogram;
  shares: Shares | null = null;
  estimate: number | null = null;
  /** Of the latest answers, the older the less. */
  lossTokens = 0;

  constructor(window: number) {
    this.histogram = new LengthHistogram(window);
  }

  refresh(quantile: number, behind: Shares, behindWeight: number): void {
    this.shares = this.histogram.sharesOver(behind, behindWeight);
    this.estimate = quantileOf(this.shares, quantile);
  }
}

/** Loss of a quantile's estimate, in tokens; the true quantile has the least on average (Koenker and Bassett 1978). */
export function pinballLoss(tokens: number, estimate: number, quantile: number): number {
  const over = tokens - estimate;
  return over >= 0 ? quantile * over : (quantile - 1) * over;
}
