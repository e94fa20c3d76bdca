export interface RetryBudgetSettings {
  /** Retries and hedges per request, in the long run. */
  readonly share: number;
  /** Saved up at most, and there at the start: a few failures of a quiet pool are always retried. */
  readonly savedMax: number;
  /** Comes by itself, so that a pool with few requests can retry again. */
  readonly perSecond: number;
}

export const RETRY_BUDGET: RetryBudgetSettings = { share: 0.2, savedMax: 20, perSecond: 0.5 };

/**
 * How many requests may be sent a second time: a share of those that come, so that retries cannot double an overload.
 * Ever taken ≤ savedMax + share × requests + perSecond × seconds. Time is passed in, monotonic ms.
 */
export class RetryBudget {
  readonly #settings: RetryBudgetSettings;
  #saved: number;
  #atMs: number | null = null;
  taken = 0;
  refused = 0;

  constructor(settings: RetryBudgetSettings = RETRY_BUDGET) {
    this.#settings = settings;
    this.#saved = settings.savedMax;
  }

  /** A request came. */
  earn(): void {
    this.#save(this.#settings.share);
  }

  /** Whether one more may be sent again now; then it is taken. */
  take(nowMs: number): boolean {
    this.#save(Math.max(0, nowMs - (this.#atMs ?? nowMs)) * (this.#settings.perSecond / 1_000));
    this.#atMs = Math.max(nowMs, this.#atMs ?? nowMs);
    if (this.#saved < 1) {
      this.refused += 1;
      return false;
    }
    this.#saved -= 1;
    this.taken += 1;
    return true;
  }

  #save(more: number): void {
    this.#saved = Math.min(this.#settings.savedMax, this.#saved + more);
  }
}
