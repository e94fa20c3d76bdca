import { LengthHistogram, quantileOf, type Shares, sharesAt } from './length-histogram.ts';

export interface LengthOptions {
  /** Which share of answers should be no longer than the estimate. */
  readonly quantile: number;
  /** The estimate before anything is known, tokens. */
  readonly priorTokens: number;
  /** Learners kept, about 1 KB each; the least recently used is forgotten. */
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

/**
 * How long an answer will be, which nobody knows when a request comes: an upper quantile of the lengths of finished
 * answers, never of the request's own (invariant 6). Per endpoint and API key; a key of which little is known takes its
 * endpoint's. Figures on public traces: docs/work.md.
 */
export class OutputLengths {
  readonly #options: LengthOptions;
  readonly #learners = new Map<string, Learner>();
  readonly #prior: Shares;

  constructor(options: LengthOptions = LENGTH_OPTIONS) {
    this.#options = options;
    this.#prior = sharesAt(options.priorTokens);
  }

  /** Tokens to reserve: at least 1 and at most `maxTokens`. */
  estimate(endpointId: string, keyId: string, maxTokens: number): number {
    const endpoint = this.#learners.get(endpointId);
    const { priorTokens, quantile } = this.#options;
    const tokens = endpoint ? quantileOf(this.#sharesOf(endpoint, endpointId, keyId), quantile) : priorTokens;
    return Math.max(1, Math.min(maxTokens, Math.ceil(tokens)));
  }

  /**
   * A whole answer of `tokens` was delivered, where at most `maxTokens` could be: one that was cut off there says only
   * that it would have been longer.
   */
  observe(endpointId: string, keyId: string, tokens: number, maxTokens: number): void {
    const { quantile } = this.#options;
    const cut = tokens >= maxTokens;
    const endpoint = this.#use(endpointId);
    const key = this.#use(keyOf(endpointId, keyId));
    const behindKey = endpoint.shares(this.#prior, PRIOR_WEIGHT);
    endpoint.observe(tokens, cut, this.#prior, PRIOR_WEIGHT, quantile);
    key.observe(tokens, cut, behindKey, ENDPOINT_WEIGHT, quantile);
  }

  #sharesOf(endpoint: Learner, endpointId: string, keyId: string): Shares {
    const behind = endpoint.shares(this.#prior, PRIOR_WEIGHT);
    return this.#learners.get(keyOf(endpointId, keyId))?.shares(behind, ENDPOINT_WEIGHT) ?? behind;
  }

  #use(id: string): Learner {
    const learner = this.#learners.get(id) ?? new Learner();
    this.#learners.delete(id);
    this.#learners.set(id, learner);
    if (this.#learners.size > this.#options.learnersMax) {
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
  readonly #long = new LengthHistogram(LONG_WINDOW);
  readonly #short = new LengthHistogram(SHORT_WINDOW);
  #longLoss = 0;
  #shortLoss = 0;

  shares(behind: Shares, behindWeight: number): Shares {
    const memory = this.#shortLoss < SHORT_ADVANTAGE * this.#longLoss ? this.#short : this.#long;
    return memory.sharesOver(behind, behindWeight);
  }

  observe(tokens: number, cut: boolean, behind: Shares, behindWeight: number, quantile: number): void {
    const long = this.#long.sharesOver(behind, behindWeight);
    const short = this.#short.sharesOver(behind, behindWeight);
    if (cut) {
      this.#long.addAtLeast(tokens, long);
      this.#short.addAtLeast(tokens, short);
      return;
    }
    const keep = 1 - 1 / LOSS_WINDOW;
    this.#longLoss = this.#longLoss * keep + pinballLoss(tokens, quantileOf(long, quantile), quantile);
    this.#shortLoss = this.#shortLoss * keep + pinballLoss(tokens, quantileOf(short, quantile), quantile);
    this.#long.add(tokens);
    this.#short.add(tokens);
  }
}

/** Loss of a quantile's estimate, in tokens; the true quantile has the least on average (Koenker and Bassett 1978). */
export function pinballLoss(tokens: number, estimate: number, quantile: number): number {
  const over = tokens - estimate;
  return over >= 0 ? quantile * over : (quantile - 1) * over;
}
