/**
 * What is not known when a request comes: how long its prompt is in tokens, and how long its answer will be. Both are
 * learned from finished requests and never from the request itself (invariant 6).
 */
export interface LengthOptions {
  /** Which share of answers should be no longer than the estimate. */
  readonly quantile: number;
  /** The estimate before anything is known, tokens. */
  readonly priorTokens: number;
  /** Learners kept; the least recently used is forgotten. */
  readonly learnersMax: number;
}

export const LENGTH_OPTIONS: LengthOptions = { quantile: 0.9, priorTokens: 256, learnersMax: 10_000 };

interface Learner {
  logTokens: number;
  seen: number;
}

/**
 * Output length per key (say, endpoint and API key): an upper quantile q by stochastic approximation (Robbins–Monro),
 * in log space, because lengths spread over orders of magnitude: θ ← θ + γ·(q − [length ≤ e^θ]). The step γ falls
 * with what was seen and stops falling at a floor, so that a change of the traffic is followed.
 */
export class OutputLengths {
  readonly #options: LengthOptions;
  readonly #learners = new Map<string, Learner>();

  constructor(options: LengthOptions = LENGTH_OPTIONS) {
    this.#options = options;
  }

  /** Tokens to reserve: the learned quantile, at least 1 and at most `maxTokens`. */
  estimate(key: string, maxTokens: number): number {
    const learner = this.#learners.get(key);
    const tokens = learner === undefined ? this.#options.priorTokens : Math.exp(learner.logTokens);
    return Math.max(1, Math.min(maxTokens, Math.ceil(tokens)));
  }

  /** A whole answer of that length was delivered. */
  observe(key: string, tokens: number): void {
    const { quantile, priorTokens, learnersMax } = this.#options;
    const learner = this.#learners.get(key) ?? { logTokens: Math.log(priorTokens), seen: 0 };
    this.#learners.delete(key);
    this.#learners.set(key, learner);
    learner.seen += 1;
    const step = Math.max(0.05, 1 / learner.seen ** 0.6);
    const below = Math.log(Math.max(1, tokens)) <= learner.logTokens ? 1 : 0;
    learner.logTokens = Math.min(16, Math.max(0, learner.logTokens + step * (quantile - below)));
    if (this.#learners.size > learnersMax) {
      for (const oldest of this.#learners.keys()) {
        this.#learners.delete(oldest);
        break;
      }
    }
  }
}

/** Tokens a chat template adds around each message, about. */
const TOKENS_PER_MESSAGE = 4;
const DECAY = 0.98;

/**
 * Prompt length of one served model: UTF-8 bytes per token as a decayed ratio of sums, so that long prompts, where an
 * error costs most, weigh most. It starts at 4 bytes, which holds for English and, by bytes, about for Chinese.
 */
export class PromptLengths {
  #bytes = 4_000;
  #tokens = 1_000;

  estimate(bytes: number, messages: number): number {
    return Math.max(1, Math.ceil((bytes * this.#tokens) / this.#bytes) + TOKENS_PER_MESSAGE * messages);
  }

  observe(bytes: number, messages: number, tokens: number): void {
    const own = tokens - TOKENS_PER_MESSAGE * messages;
    if (bytes <= 0 || own <= 0) return;
    this.#bytes = this.#bytes * DECAY + bytes;
    this.#tokens = this.#tokens * DECAY + own;
  }
}
