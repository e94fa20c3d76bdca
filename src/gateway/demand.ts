import type { Estimate } from '../core/serving/admission.ts';
import { totalUs } from '../core/serving/work.ts';

/** Demand fades by 1/e in so long. */
const FADE_MS = 1_000;
/** What tells keys' parts apart fades slower, so that chance does not move them. */
const KEYS_FADE_MS = 15_000;
const KEY_US_MIN = 1_000;
/** Keys that are told of, those that ask for most; the rest share what these leave. */
const KEYS_MAX = 32;
const KEYS_KEPT_MAX = 1_000;

/** What is asked of one served model here, lately: the wish that a gateway takes to where capacity is shared. */
export class Demand {
  /** Work and sequences asked for, fading: a rate times FADE_MS. */
  #workUs = 0;
  #sequences = 0;
  #kvTokens = 0;
  #nextUs = 0;
  #atMs = 0;
  readonly #keys = new Map<string, number>();

  asked(keyId: string, estimate: Estimate, nowMs: number): void {
    this.#fade(nowMs);
    const workUs = totalUs(estimate.work);
    this.#workUs += workUs;
    this.#sequences += estimate.sequences;
    this.#kvTokens += estimate.kvTokens;
    this.#nextUs = workUs;
    this.#keys.set(keyId, (this.#keys.get(keyId) ?? 0) + workUs);
    if (this.#keys.size > KEYS_KEPT_MAX) this.#keys.delete(this.#keys.keys().next().value as string);
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
    const keys = Array.from(this.#keys, ([key, workUs]): [string, number] => [key, Math.ceil(workUs)]);
    return {
      workUs: Math.ceil(this.#workUs * part),
      sequences: Math.ceil(this.#sequences * part),
      kvTokens: Math.ceil(this.#kvTokens * part),
      nextUs: this.#nextUs,
      keys: Object.fromEntries(keys.toSorted(([, a], [, b]) => b - a).slice(0, KEYS_MAX)),
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
    const keysLeft = Math.exp(-ms / KEYS_FADE_MS);
    for (const [key, workUs] of this.#keys) {
      if (workUs * keysLeft < KEY_US_MIN) this.#keys.delete(key);
      else this.#keys.set(key, workUs * keysLeft);
    }
  }
}
