import type { Share } from './shares.ts';

/**
 * Places inside the engines, between shares. The line is fair about who is next; but when one share fills every place with
 * long requests, the next of another waits for one of them to end, and behind the prompts that the engine has taken in. So
 * while others are active (have something inside, or had lately), a share
 *
 * - leaves them the places that they used lately, up to their fair part (places × weight ÷ Σ weights, rounded down), once
 *   it has its own part, and
 * - has at most one engine step's prefill inside that has no first token yet, or one request.
 *
 * A share that is alone has everything. Time is passed in.
 */
interface Use {
  sequences: number;
  /** The most it held since it became active. */
  most: number;
  /** Of requests without a first token. */
  prefillUs: number;
  weight: number;
  lastMs: number;
}

export interface PlaceLimits {
  /** Sequences that all ready units decode together. */
  readonly places: number;
  /** Of all sequences inside. */
  readonly running: number;
  /** Prefill of one step of every ready unit; Infinity: not known. */
  readonly stepPrefillUs: number;
}

/** What a request asks for. */
export interface Place {
  readonly share: Share;
  readonly sequences: number;
  readonly prefillUs: number;
}

/** How long a share counts as active after its last request, ms. */
const ACTIVE_MS = 30_000;
/** Of more active shares than these none holds much, and their claims would cost too much to sum. */
const SHARES_MAX = 64;

export class Places {
  /** The longest idle first. */
  readonly #uses = new Map<string, Use>();

  took({ share, sequences, prefillUs }: Place, nowMs: number): void {
    const use = this.#uses.get(share.id) ?? { sequences: 0, most: 0, prefillUs: 0, weight: 1, lastMs: nowMs };
    use.sequences += sequences;
    use.most = Math.max(use.most, use.sequences);
    use.prefillUs += prefillUs;
    use.weight = share.weight;
    this.#touch(share.id, use, nowMs);
  }

  /** Its first token is there. */
  prefilled({ share, prefillUs }: Place): void {
    const use = this.#uses.get(share.id);
    if (use !== undefined) use.prefillUs -= prefillUs;
  }

  left({ share, sequences }: Place, nowMs: number): void {
    const use = this.#uses.get(share.id);
    if (use === undefined) return;
    use.sequences -= sequences;
    this.#touch(share.id, use, nowMs);
  }

  /** Whether the share may have one more request inside beside what others may claim. */
  mayTake({ share, sequences, prefillUs }: Place, limits: PlaceLimits, nowMs: number): boolean {
    this.#forget(nowMs);
    const own = this.#uses.get(share.id);
    const others = this.#uses.size - (own === undefined ? 0 : 1);
    if (others === 0 || others > SHARES_MAX) return true;
    const ahead = own?.prefillUs ?? 0;
    if (ahead > 0 && ahead + prefillUs > limits.stepPrefillUs) return false;
    let weights = own === undefined ? share.weight : 0;
    for (const use of this.#uses.values()) weights += use.weight;
    const part = (weight: number) => Math.floor((limits.places * weight) / weights);
    const held = own?.sequences ?? 0;
    if (held + sequences <= Math.max(1, part(share.weight))) return true;
    let claimed = 0;
    for (const [id, use] of this.#uses) {
      if (id !== share.id) claimed += Math.max(0, Math.min(use.most, part(use.weight)) - use.sequences);
    }
    return limits.running + sequences + claimed <= limits.places;
  }

  /** When the claims of those that are idle end, ms; Infinity: never by themselves. */
  nextEndMs(): number {
    for (const use of this.#uses.values()) if (use.sequences === 0) return use.lastMs + ACTIVE_MS;
    return Number.POSITIVE_INFINITY;
  }

  #touch(id: string, use: Use, nowMs: number): void {
    use.lastMs = nowMs;
    this.#uses.delete(id);
    this.#uses.set(id, use);
  }

  #forget(nowMs: number): void {
    for (const [id, use] of this.#uses) {
      const { sequences, lastMs } = use;
      if (lastMs + ACTIVE_MS > nowMs) return;
      // One that holds a place stays, and is looked at again after the others.
      this.#uses.delete(id);
      if (sequences > 0) this.#uses.set(id, { ...use, lastMs: nowMs });
    }
  }
}
