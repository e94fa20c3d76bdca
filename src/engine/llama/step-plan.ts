/** One that runs: how much of its prompt is left, 0 = it decodes; whose it is; unique and rising with its start. */
export interface Running {
  readonly salt: string | null;
  readonly prefillTokensLeft: number;
  readonly lastUsed: number;
}

/**
 * Prompt tokens that one step takes of a crowd, an owner with several sequences and more than another active one: whoever
 * of the other comes next waits for one such step at most. Decodes go on in every step, so small ones cost little.
 */
const CROWD_TOKENS = 8;
/** Sequences that a crowd decodes in a step in which one with fewer prefills; they take turns. */
const CROWD_DECODES = 2;
/** Of so many such steps in a row the last is the crowd's as well: a prompt without end holds nobody up. */
const GUEST_STEPS = 5;
/** So long does an owner count as active after its last sequence, ms. */
const ACTIVE_MS = 30_000;
const OWNERS_MAX = 1_000;

/**
 * What each running sequence does in the next step, so that a tenant that fills the engine slows the first token of another
 * little. Who has how much in the long run is not decided here but by the gateway's line, which is fair by work.
 */
export class StepPlan {
  /** When an owner last had something running. */
  readonly #seenMs = new Map<string | null, number>();
  #guestSteps = 0;
  /** Of the one of a crowd that decoded last, where not all did. */
  #turn = 0;

  /**
   * Those that take part, with the prompt tokens that each evaluates, at most `budget` together; 0: it decodes. Owners
   * with fewer sequences prefill first, then first come, first served. `nowMs` is monotonic.
   */
  next<T extends Running>(running: readonly T[], budget: number, nowMs: number): Map<T, number> {
    const counts = new Map<string | null, number>();
    for (const { salt } of running) counts.set(salt, (counts.get(salt) ?? 0) + 1);
    this.#see(counts.keys(), nowMs);
    const countOf = ({ salt }: Running) => counts.get(salt) as number;
    const fewest = this.#seenMs.size > counts.size ? 0 : Math.min(...counts.values());
    const isCrowd = (one: Running) => countOf(one) > Math.max(1, fewest);
    const prefilling = running
      .filter(({ prefillTokensLeft }) => prefillTokensLeft > 0)
      .sort((a, b) => countOf(a) - countOf(b) || a.lastUsed - b.lastUsed);
    const hasGuest = prefilling.some((one) => !isCrowd(one)) && running.some(isCrowd);
    this.#guestSteps = hasGuest ? (this.#guestSteps + 1) % GUEST_STEPS : 0;
    const isGuests = this.#guestSteps > 0;
    const crowdTokens = isGuests ? 0 : Math.min(CROWD_TOKENS, budget);
    const chunks = share(prefilling, isCrowd, hasGuest ? budget - crowdTokens : budget, crowdTokens, budget);
    const decoding = running.filter(({ prefillTokensLeft }) => prefillTokensLeft === 0);
    const inTurn = isGuests ? this.#inTurn(decoding.filter(isCrowd)) : decoding;
    for (const one of decoding) if (inTurn.includes(one) || !isCrowd(one)) chunks.set(one, 0);
    return chunks;
  }

  /** The next few, first those that started after the one that was last. */
  #inTurn<T extends Running>(crowd: readonly T[]): readonly T[] {
    const order = crowd.toSorted((a, b) => a.lastUsed - b.lastUsed);
    const after = order.filter(({ lastUsed }) => lastUsed > this.#turn);
    const chosen = [...after, ...order].slice(0, Math.min(CROWD_DECODES, order.length));
    this.#turn = chosen.at(-1)?.lastUsed ?? this.#turn;
    return chosen;
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

/** Tokens for each in order: of crowds `crowdTokens` together, of others `othersTokens`, of all `budget`. */
function share<T extends Running>(
  prefilling: readonly T[],
  isCrowd: (one: T) => boolean,
  othersTokens: number,
  crowdTokens: number,
  budget: number,
): Map<T, number> {
  const chunks = new Map<T, number>();
  let [others, crowd, all] = [othersTokens, crowdTokens, budget];
  for (const one of prefilling) {
    const tokens = Math.min(isCrowd(one) ? crowd : others, all, one.prefillTokensLeft);
    if (tokens === 0) continue;
    chunks.set(one, tokens);
    all -= tokens;
    if (isCrowd(one)) crowd -= tokens;
    else others -= tokens;
  }
  return chunks;
}
