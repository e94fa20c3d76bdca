/**
 * What one caller may use: requests, tokens and work by the minute, and requests on their way together. Over any 60 s no
 * more is let in than the limits say; what was let in counts until it is 60 to 61 s old, for time is kept in seconds. A
 * request reserves an estimate of its tokens and work and settles to what it took. Memory is a fixed ring of counters for
 * each kind that is limited, whatever the traffic. Time is passed in and never goes back.
 */
export interface UseLimits {
  readonly requestsPerMinute?: number | undefined;
  /** Prompt (cached ones too) and output tokens together. */
  readonly tokensPerMinute?: number | undefined;
  /** Unit-microseconds. */
  readonly workUsPerMinute?: number | undefined;
  /** Requests that are not settled. */
  readonly concurrency?: number | undefined;
}

export type LimitKind = 'requests' | 'tokens' | 'work' | 'concurrency';

/** What one request holds of its minute. Only `RateLimiter` changes it. */
export interface RateReservation {
  readonly tokens: number;
  readonly workUs: number;
  /** When it was let in, in whole seconds. */
  readonly atS: number;
  readonly settled: boolean;
}

export type RateAnswer =
  | { readonly granted: true; readonly reservation: RateReservation }
  | {
      readonly granted: false;
      readonly because: LimitKind;
      /**
       * Until the same request would be let in if nothing else came; Infinity: it alone is larger than the limit. Of
       * concurrency nobody knows: a second.
       */
      readonly waitMs: number;
    };

export interface LimitView {
  /** Infinity: not limited. */
  readonly limit: number;
  readonly remaining: number;
  /** Until nothing counts any more, if nothing else comes. */
  readonly resetMs: number;
}

/** What one caller used in the last 60 s, and its requests that are not settled. */
export interface RateUse {
  readonly requests: number;
  readonly tokens: number;
  readonly workUs: number;
  readonly running: number;
}

const NO_USE: RateUse = { requests: 0, tokens: 0, workUs: 0, running: 0 };
/** Of what others hold nobody here knows when it leaves. */
const ELSEWHERE_WAIT_MS = 1_000;
/** Whole seconds that the last 60 s can touch. */
const SECONDS = 61;
const CONCURRENCY_WAIT_MS = 1_000;

export class RateLimiter {
  #limits: UseLimits;
  readonly #requests = new Window();
  readonly #tokens = new Window();
  readonly #workUs = new Window();
  #running = 0;
  #elsewhere = NO_USE;

  constructor(limits: UseLimits) {
    this.#limits = limits;
  }

  /** What was let in before counts under the new limits too. */
  setLimits(limits: UseLimits): void {
    this.#limits = limits;
  }

  /** What the same caller used at other gateways, which counts as if it were here; null: nothing. */
  usedElsewhere(use: RateUse | null): void {
    this.#elsewhere = use ?? NO_USE;
  }

  /** What it used here. */
  used(nowMs: number): RateUse {
    const requests = this.#requests.total(nowMs);
    return { requests, tokens: this.#tokens.total(nowMs), workUs: this.#workUs.total(nowMs), running: this.#running };
  }

  /** Lets a request in that will likely take so many tokens and so much work, or says what it does not fit into. */
  reserve(tokens: number, nowMs: number, workUs = 0): RateAnswer {
    const refusal = this.look(tokens, nowMs, workUs);
    if (refusal !== null) return refusal;
    this.#requests.add(1, nowMs);
    this.#tokens.add(tokens, nowMs);
    this.#workUs.add(workUs, nowMs);
    this.#running += 1;
    return { granted: true, reservation: { tokens, workUs, atS: this.#tokens.nowS, settled: false } };
  }

  /** What `reserve` would refuse it for, or null: of several the one that lasts longest; holds nothing. */
  look(tokens: number, nowMs: number, workUs = 0): Extract<RateAnswer, { granted: false }> | null {
    const { concurrency, requestsPerMinute, tokensPerMinute, workUsPerMinute } = this.#limits;
    const others = this.#elsewhere;
    const running = this.#running + others.running;
    const waits: readonly (readonly [because: LimitKind, waitMs: number])[] = [
      ['requests', this.#requests.waitMs(1, requestsPerMinute, nowMs, others.requests)],
      ['tokens', this.#tokens.waitMs(tokens, tokensPerMinute, nowMs, others.tokens)],
      ['work', this.#workUs.waitMs(workUs, workUsPerMinute, nowMs, others.workUs)],
      ['concurrency', running + 1 > (concurrency ?? Number.POSITIVE_INFINITY) ? CONCURRENCY_WAIT_MS : 0],
    ];
    const [because, waitMs] = waits.reduce((longest, one) => (one[1] > longest[1] ? one : longest));
    return waitMs === 0 ? null : { granted: false, because, waitMs };
  }

  /**
   * What it took in the end. Less than reserved is given back to its second, while that counts; more counts from now.
   * The request itself goes on counting, whatever became of it. Throws when it was settled before (a programmer's error).
   */
  settle(reservation: RateReservation, tokens: number, nowMs: number, workUs = 0): void {
    if (reservation.settled) throw new Error('A reservation settles once.');
    (reservation as { settled: boolean }).settled = true;
    this.#tokens.correct(tokens - reservation.tokens, reservation.atS, nowMs);
    this.#workUs.correct(workUs - reservation.workUs, reservation.atS, nowMs);
    this.#running -= 1;
  }

  view(nowMs: number): Readonly<Record<LimitKind, LimitView>> {
    const limit = this.#limits.concurrency ?? Number.POSITIVE_INFINITY;
    const others = this.#elsewhere;
    return {
      requests: this.#requests.view(this.#limits.requestsPerMinute, nowMs, others.requests),
      tokens: this.#tokens.view(this.#limits.tokensPerMinute, nowMs, others.tokens),
      work: this.#workUs.view(this.#limits.workUsPerMinute, nowMs, others.workUs),
      concurrency: { limit, remaining: Math.max(0, limit - this.#running - others.running), resetMs: 0 },
    };
  }

  /** Nothing of it counts any more. */
  isIdle(nowMs: number): boolean {
    return this.#running === 0 && this.view(nowMs).requests.resetMs === 0;
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

  /** More counts from now, less is given back to its second. */
  correct(delta: number, atS: number, nowMs: number): void {
    this.#advance(nowMs);
    if (delta > 0) this.#put(this.nowS, delta);
    else if (this.nowS - atS < SECONDS) this.#put(atS, delta);
  }

  total(nowMs: number): number {
    this.#advance(nowMs);
    return this.#total;
  }

  /** Until so much more fits under the limit beside what others hold. */
  waitMs(count: number, limit: number | undefined, nowMs: number, others: number): number {
    if (limit === undefined) return 0;
    this.#advance(nowMs);
    if (count > limit) return Number.POSITIVE_INFINITY;
    let over = this.#total + others + count - limit;
    // The oldest second leaves first.
    for (let atS = this.nowS - SECONDS + 1; over > 0; atS += 1) {
      if (atS > this.nowS) return ELSEWHERE_WAIT_MS;
      over -= this.#countOf(atS);
      if (over <= 0) return leavesMs(atS) - nowMs;
    }
    return 0;
  }

  view(limit: number | undefined, nowMs: number, others: number): LimitView {
    this.#advance(nowMs);
    const most = limit ?? Number.POSITIVE_INFINITY;
    const remaining = Math.max(0, most - this.#total - others);
    let atS = this.nowS;
    while (atS > this.nowS - SECONDS && this.#countOf(atS) === 0) atS -= 1;
    const resetMs = atS > this.nowS - SECONDS ? leavesMs(atS) - nowMs : 0;
    return { limit: most, remaining, resetMs };
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
