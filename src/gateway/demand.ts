import type { Estimate } from '../core/serving/admission.ts';
import type { Share } from '../core/serving/shares.ts';
import { totalUs } from '../core/serving/work.ts';

/** Demand fades by 1/e in so long. */
const FADE_MS = 1_000;
/** What tells shares' parts apart fades slower, so that chance does not move them. */
const SHARES_FADE_MS = 15_000;
const SHARE_US_MIN = 1_000;
/** Shares that are told of, those that ask for most; the rest share what these leave. */
const SHARES_MAX = 32;
const SHARES_KEPT_MAX = 1_000;

/** What is asked of one served model here, lately: the wish that a gateway takes to where capacity is shared. */
export class Demand {
  /** Work and sequences asked for, fading: a rate times FADE_MS. */
  #workUs = 0;
  #sequences = 0;
  #kvTokens = 0;
  #nextUs = 0;
  #atMs = 0;
  readonly #shares = new Map<string, { workUs: number; weight: number }>();

  asked({ id, weight }: Share, estimate: Estimate, nowMs: number): void {
    this.#fade(nowMs);
    const workUs = totalUs(estimate.work);
    this.#workUs += workUs;
    this.#sequences += estimate.sequences;
    this.#kvTokens += estimate.kvTokens;
    this.#nextUs = workUs;
    this.#shares.set(id, { workUs: (this.#shares.get(id)?.workUs ?? 0) + workUs, weight });
    if (this.#shares.size > SHARES_KEPT_MAX) this.#shares.delete(this.#shares.keys().next().value as string);
  }

  /** Nothing was asked for lately. */
  isIdle(nowMs: number): boolean {
    this.#fade(nowMs);
    return this.#workUs < 1;
  }

  /** What is expected in `windowMs`, of which kind, and from whom. */
  expected(windowMs: number, nowMs: number) {
    this.#fade(nowMs);
    const part = windowMs / FADE_MS;
    const most = [...this.#shares].toSorted(([, a], [, b]) => b.workUs - a.workUs).slice(0, SHARES_MAX);
    return {
      workUs: Math.ceil(this.#workUs * part),
      sequences: Math.ceil(this.#sequences * part),
      kvTokens: Math.ceil(this.#kvTokens * part),
      nextUs: this.#nextUs,
      keys: Object.fromEntries(most.map(([id, { workUs }]) => [id, Math.ceil(workUs)])),
      keyWeights: Object.fromEntries(most.flatMap(([id, { weight }]) => (weight === 1 ? [] : [[id, weight]]))),
    };
  }

  #fade(nowMs: number): void {
    const ms = Math.max(0, nowMs - this.#atMs);
    if (ms < 20) return;
    this.#atMs = nowMs;
    const left = Math.exp(-ms / FADE_MS);
    this.#workUs *= left;
    this.#sequences *= left;
    this.#kvTokens *= left;
    const sharesLeft = Math.exp(-ms / SHARES_FADE_MS);
    for (const [id, share] of this.#shares) {
      share.workUs *= sharesLeft;
      if (share.workUs < SHARE_US_MIN) this.#shares.delete(id);
    }
  }
}
