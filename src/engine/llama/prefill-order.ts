/** One that runs: how much of its prompt is left, and whose it is. */
export interface Prefilling {
  readonly salt: string | null;
  readonly prefillTokensLeft: number;
  readonly lastUsed: number;
}

/**
 * Prompt tokens that one step takes of an owner with several sequences, while another owner is active: whoever of the
 * other comes next waits for one such step at most. Decodes go on in every step, so small ones cost little.
 */
const CROWD_TOKENS = 16;
/** What others leave it in every step, so that it goes on. */
const CROWD_TOKENS_MIN = 4;
/** So long does an owner count as active after its last sequence, ms. */
const ACTIVE_MS = 30_000;
const OWNERS_MAX = 1_000;

/** What each running sequence may prefill in the next step. */
export class PrefillOrder {
  /** When an owner last had something running. */
  readonly #seenMs = new Map<string | null, number>();

  /**
   * Tokens for each of `running`, `budget` together: owners with fewer sequences first, then first come, first served.
   * `nowMs` is monotonic.
   */
  chunks<T extends Prefilling>(running: readonly T[], budget: number, nowMs: number): Map<T, number> {
    const counts = new Map<string | null, number>();
    for (const { salt } of running) counts.set(salt, (counts.get(salt) ?? 0) + 1);
    this.#see(counts.keys(), nowMs);
    const shared = this.#seenMs.size > 1;
    const countOf = ({ salt }: Prefilling) => counts.get(salt) as number;
    const order = running
      .filter(({ prefillTokensLeft }) => prefillTokensLeft > 0)
      .sort((a, b) => (shared ? countOf(a) - countOf(b) : 0) || a.lastUsed - b.lastUsed);
    const chunks = new Map<T, number>();
    const hasCrowd = shared && order.some((one) => countOf(one) > 1);
    // Those without a crowd come first.
    let left = hasCrowd ? budget - CROWD_TOKENS_MIN : budget;
    let crowdLeft = CROWD_TOKENS;
    for (const one of order) {
      const isCrowd = shared && countOf(one) > 1;
      const room = isCrowd ? Math.min(crowdLeft, left + CROWD_TOKENS_MIN) : left;
      const tokens = Math.min(room, one.prefillTokensLeft);
      chunks.set(one, tokens);
      left -= tokens;
      if (isCrowd) crowdLeft -= tokens;
    }
    return chunks;
  }

  #see(salts: Iterable<string | null>, nowMs: number): void {
    for (const salt of salts) {
      this.#seenMs.delete(salt);
      this.#seenMs.set(salt, nowMs);
    }
    for (const [salt, atMs] of this.#seenMs) {
      if (nowMs - atMs < ACTIVE_MS && this.#seenMs.size <= OWNERS_MAX) break;
      this.#seenMs.delete(salt);
    }
  }
}
