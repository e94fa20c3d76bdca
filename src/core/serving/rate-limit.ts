/**
 * Requests and tokens per minute (RPM, TPM) of one tenant on one shared pool. Over any 60 s no more is let in than the
 * limits say; what was let in counts until it is 60 to 61 s old, for time is kept in seconds. A request reserves an
 * estimate of its tokens and settles to what it took. Memory is a fixed ring of counters, whatever the traffic. Time is
 * passed in and never goes back.
 */
export interface MinuteLimits {
  readonly requestsPerMinute: number;
  /** Prompt (cached ones too) and output tokens together. */
  readonly tokensPerMinute: number;
}

/** What one request holds of its minute. Only `RateLimiter` changes it. */
export interface RateReservation {
  readonly tokens: number;
  /** When it was let in, in whole seconds. */
  readonly atS: number;
  readonly settled: boolean;
}

export type RateAnswer =
  | { readonly granted: true; readonly reservation: RateReservation }
  | {
      readonly granted: false;
      readonly because: 'requests' | 'tokens';
      /** Until the same request would be let in if nothing else came; Infinity: it alone is larger than the limit. */
      readonly waitMs: number;
    };

export interface LimitView {
  readonly limit: number;
  readonly remaining: number;
  /** Until nothing counts any more, if nothing else comes. */
  readonly resetMs: number;
}

/** Whole seconds that the last 60 s can touch. */
const SECONDS = 61;

export class RateLimiter {
  #limits: MinuteLimits;
  readonly #requests = new Window();
  readonly #tokens = new Window();

  constructor(limits: MinuteLimits) {
    this.#limits = limits;
  }

  /** What was let in before counts under the new limits too. */
  setLimits(limits: MinuteLimits): void {
    this.#limits = limits;
  }

  /** Lets a request in that will likely take so many tokens, or says what it does not fit into. */
  reserve(tokens: number, nowMs: number): RateAnswer {
    const refusal = this.look(tokens, nowMs);
    if (refusal !== null) return refusal;
    this.#requests.add(1, nowMs);
    this.#tokens.add(tokens, nowMs);
    return { granted: true, reservation: { tokens, atS: this.#tokens.nowS, settled: false } };
  }

  /** What `reserve` would refuse it for, or null; holds nothing. */
  look(tokens: number, nowMs: number): Extract<RateAnswer, { granted: false }> | null {
    const { requestsPerMinute, tokensPerMinute } = this.#limits;
    const requestsMs = this.#requests.waitMs(1, requestsPerMinute, nowMs);
    const tokensMs = this.#tokens.waitMs(tokens, tokensPerMinute, nowMs);
    if (requestsMs === 0 && tokensMs === 0) return null;
    const because = requestsMs >= tokensMs ? 'requests' : 'tokens';
    return { granted: false, because, waitMs: Math.max(requestsMs, tokensMs) };
  }

  /**
   * What it took in the end. Less than reserved is given back to its second, while that counts; more counts from now.
   * The request itself goes on counting, whatever became of it. Throws when it was settled before (a programmer's error).
   */
  settle(reservation: RateReservation, tokens: number, nowMs: number): void {
    if (reservation.settled) throw new Error('A reservation settles once.');
    (reservation as { settled: boolean }).settled = true;
    const delta = tokens - reservation.tokens;
    if (delta > 0) this.#tokens.add(delta, nowMs);
    else this.#tokens.giveBack(-delta, reservation.atS, nowMs);
  }

  view(nowMs: number): { readonly requests: LimitView; readonly tokens: LimitView } {
    const { requestsPerMinute, tokensPerMinute } = this.#limits;
    return {
      requests: this.#requests.view(requestsPerMinute, nowMs),
      tokens: this.#tokens.view(tokensPerMinute, nowMs),
    };
  }
}

/** A count over the present second and the 60 before it. */
class Window {
  nowS = 0;
  readonly #counts = new Float64Array(SECONDS);
  #total = 0;

  add(count: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#put(this.nowS, count);
  }

  giveBack(count: number, atS: number, nowMs: number): void {
    this.#advance(nowMs);
    if (this.nowS - atS < SECONDS) this.#put(atS, -count);
  }

  /** Until so much more fits under the limit. */
  waitMs(count: number, limit: number, nowMs: number): number {
    this.#advance(nowMs);
    if (count > limit) return Number.POSITIVE_INFINITY;
    let over = this.#total + count - limit;
    // The oldest second leaves first.
    for (let atS = this.nowS - SECONDS + 1; over > 0; atS += 1) {
      over -= this.#countOf(atS);
      if (over <= 0) return leavesMs(atS) - nowMs;
    }
    return 0;
  }

  view(limit: number, nowMs: number): LimitView {
    this.#advance(nowMs);
    const remaining = Math.max(0, limit - this.#total);
    let atS = this.nowS;
    while (atS > this.nowS - SECONDS && this.#countOf(atS) === 0) atS -= 1;
    const resetMs = atS > this.nowS - SECONDS ? leavesMs(atS) - nowMs : 0;
    return { limit, remaining, resetMs };
  }

  #advance(nowMs: number): void {
    const nowS = Math.floor(nowMs / 1_000);
    if (nowS <= this.nowS) return;
    const passed = Math.min(SECONDS, nowS - this.nowS);
    for (let atS = nowS - passed + 1; atS <= nowS; atS += 1) {
      this.#total -= this.#countOf(atS);
      this.#counts[atS % SECONDS] = 0;
    }
    this.nowS = nowS;
  }

  #put(atS: number, count: number): void {
    this.#counts[atS % SECONDS] = this.#countOf(atS) + count;
    this.#total += count;
  }

  #countOf(atS: number): number {
    return atS < 0 ? 0 : (this.#counts[atS % SECONDS] ?? 0);
  }
}

/** When what came in a second counts no more: 60 s after the latest that it can hold. */
function leavesMs(atS: number): number {
  return (atS + SECONDS) * 1_000;
}
