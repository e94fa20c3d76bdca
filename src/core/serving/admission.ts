import { added, type Bucket, capacityUs, drained, drainMs, emptyBucket, withUnits } from './bucket.ts';
import { breachOf, type LatencyGuard, type Outstanding } from './latency-guard.ts';
import { kvNeed, type Typical } from './typical.ts';
import { NO_WORK, totalUs, type Work } from './work.ts';

/**
 * Admission to one served model: the contract bucket says what was bought, the engine guard what the ready units can
 * hold at once. A single-machine template has one pool that carries prefill and decode together; a disaggregated one has a
 * pool, and so a bucket, for each, and a request enters when it fits both. Time is passed in.
 *
 * A reservation lives reserve → extend* → settle. Conservation (invariant 1), in whole unit-microseconds:
 *
 *     Σ reserved (extensions included) = Σ settled + Σ returned + Σ outstanding
 */
export interface AdmissionLimits {
  readonly readyUnits: number;
  /** Sequences a unit decodes together (B*). */
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  /** Promised latencies; without it only batch and KV cache are guarded. */
  readonly latency?: LatencyGuard;
  /** Prefill and decode each have machines of their own; fixed for the life of an `Admission`. */
  readonly poolsApart?: boolean;
  /** Of several gateways without a common lease: the part that is this one's; 1 unless said. */
  readonly share?: number;
}

/** What this gateway may let in until its next lease, of what several share (`shared-capacity.ts`). */
export interface AdmissionLease {
  readonly grantUs: number;
  /** Of the bucket that all share. */
  readonly levelUs: number;
  readonly sequences: number;
  readonly kvTokens: number;
  /** `spentUs` of the report that it answers: what was spent since is part of the grant. */
  readonly reportedUs: number;
}

export interface Estimate {
  readonly work: Work;
  /** Tokens of KV cache it holds when it is done. */
  readonly kvTokens: number;
  /** Of one sequence. */
  readonly outputTokens: number;
  /** Sequences it decodes: 1, or the prompts of a batched request. */
  readonly sequences: number;
  /** What it likely holds; absent: what is reserved. */
  readonly typical?: Typical;
}

export type Fit =
  | { readonly fits: true }
  | {
      readonly fits: false;
      readonly because: 'units' | 'bucket' | 'lease' | 'batch' | 'kv' | 'ttft' | 'tpot' | 'share';
      readonly waitMs: number;
    };

export interface AdmissionTotals {
  readonly reservedUs: number;
  readonly settledUs: number;
  readonly returnedUs: number;
}

export interface AdmissionView extends AdmissionTotals {
  /** Of the fuller pool. */
  readonly levelUs: number;
  readonly capacityUs: number;
  readonly readyUnits: number;
  /** Sequences that were let in and are not settled. */
  readonly running: number;
  readonly kvTokens: number;
  /** What they likely hold of it. */
  readonly kvTokensLikely: number;
  readonly outstandingUs: number;
}

/** A place that a request holds. Only `Admission` changes it. */
export interface Reservation {
  readonly work: Work;
  readonly kvTokens: number;
  readonly typical: Typical;
  readonly sequences: number;
  readonly settled: boolean;
  readonly prefilled: boolean;
}

/** Until the next lease, about. */
const LEASE_WAIT_MS = 100;
/** How long prefill that was let in counts: about as long as an answer's decoding, which it slows; longer on slow machines. */
const PREFILL_MEMORY_MS = 10_000;

interface Pool {
  bucket: Bucket;
  /** The part of a request's work that is done here. */
  readonly workUs: (work: Work) => number;
}

type OwnReservation = { -readonly [K in keyof Reservation]: Reservation[K] };

export class Admission {
  #limits: AdmissionLimits;
  readonly #pools: readonly Pool[];
  #running = 0;
  #kvTokens = 0;
  #typicalKvTokens = 0;
  #kvVariance = 0;
  #contextTokens = 0;
  #outstandingUs = 0;
  #prefillAheadUs = 0;
  /** Prefill let in, fading. */
  #recentPrefillUs = 0;
  #prefillAtMs: number;
  #reservedUs = 0;
  #settledUs = 0;
  #returnedUs = 0;
  #lease: AdmissionLease | null = null;
  #reportedUs = 0;

  constructor(limits: AdmissionLimits, nowMs: number) {
    this.#limits = limits;
    this.#prefillAtMs = nowMs;
    const poolOf = (workUs: Pool['workUs']): Pool => ({ bucket: emptyBucket(limits.readyUnits, nowMs), workUs });
    this.#pools = limits.poolsApart
      ? [poolOf(({ prefillUs }) => prefillUs), poolOf(({ decodeUs }) => decodeUs)]
      : [poolOf(totalUs)];
  }

  get readyUnits(): number {
    return this.#limits.readyUnits;
  }

  get running(): number {
    return this.#running;
  }

  /** How long the units take for all prefill that has no first token yet, ms. */
  get prefillAheadMs(): number {
    return this.#limits.readyUnits > 0 ? this.#prefillAheadUs / (1_000 * this.#limits.readyUnits) : 0;
  }

  setLimits(limits: AdmissionLimits, nowMs: number): void {
    this.#limits = limits;
    for (const pool of this.#pools) pool.bucket = withUnits(pool.bucket, limits.readyUnits, nowMs, limits.share);
  }

  /** From now on only what the lease holds is let in; null: what this gateway has by itself. For one pool only. */
  setLease(lease: AdmissionLease | null, nowMs: number): void {
    const [pool] = this.#pools;
    if (lease === null && this.#lease !== null && pool !== undefined) {
      // Of what all let in, a part is this gateway's own; what no lease has answered is its own as a whole.
      const now = drained(pool.bucket, nowMs);
      const ownUs = Math.min(now.levelUs, Math.max(0, this.unreportedUs));
      pool.bucket = { ...now, levelUs: ownUs + (now.levelUs - ownUs) * (this.#limits.share ?? 1) };
    }
    this.#lease = lease;
    if (lease === null || pool === undefined) return;
    this.#reportedUs = lease.reportedUs;
    const levelUs = Math.max(0, lease.levelUs + this.spentUs - lease.reportedUs);
    pool.bucket = { ...drained(pool.bucket, nowMs), levelUs };
  }

  get isLeased(): boolean {
    return this.#lease !== null;
  }

  /** Of `spentUs`, what no lease has answered yet. */
  get unreportedUs(): number {
    return this.spentUs - this.#reportedUs;
  }

  /** Work let in and not given back since the beginning. */
  get spentUs(): number {
    return this.#reservedUs - this.#returnedUs;
  }

  /**
   * Whether the estimate may enter now, behind `aheadUs` of waiting work; if not, why and the predicted wait in ms. What
   * `hasWaited` for its turn enters an engine with no prefill left, however long its own is: it never starves.
   */
  fit(estimate: Estimate, nowMs: number, aheadUs = 0, hasWaited = false): Fit {
    const { readyUnits, batchPerUnit, kvTokensPerUnit } = this.#limits;
    if (readyUnits <= 0) return { fits: false, because: 'units', waitMs: Number.POSITIVE_INFINITY };
    let bucketMs = 0;
    for (const { bucket, workUs } of this.#pools) {
      bucketMs = Math.max(bucketMs, drainMs(bucket, workUs(estimate.work), nowMs, aheadUs));
    }
    if (bucketMs > 0) return { fits: false, because: 'bucket', waitMs: bucketMs };
    if (this.#lease !== null && !this.#isWithin(this.#lease, estimate, aheadUs)) {
      return { fits: false, because: 'lease', waitMs: LEASE_WAIT_MS };
    }
    // An idle engine takes anything: what is too large for it is the engine's to say.
    if (this.#running === 0) return { fits: true };
    const share = this.#limits.share ?? 1;
    if (this.#running + estimate.sequences > Math.ceil(batchPerUnit * readyUnits * share)) {
      return { fits: false, because: 'batch', waitMs: this.slotMs() };
    }
    if (this.#kvNeedWith(estimate) > kvTokensPerUnit * readyUnits * share) {
      return { fits: false, because: 'kv', waitMs: this.slotMs() };
    }
    const breach = this.#breach(estimate, nowMs, hasWaited);
    return breach === null ? { fits: true } : { fits: false, because: breach, waitMs: this.slotMs() };
  }

  reserve(estimate: Estimate, nowMs: number): Reservation {
    const reservation: OwnReservation = {
      work: NO_WORK,
      kvTokens: 0,
      typical: typicalIn(estimate),
      sequences: estimate.sequences,
      settled: false,
      prefilled: false,
    };
    this.#running += estimate.sequences;
    this.#hold(reservation.typical, 1);
    this.#fadePrefill(nowMs);
    this.#recentPrefillUs += estimate.work.prefillUs;
    this.#grow(reservation, estimate.work, estimate.kvTokens, nowMs);
    return reservation;
  }

  /** The answer grows beyond what was reserved. Throws when the reservation is settled already (a programmer's error). */
  extend(reservation: Reservation, delta: Work, kvTokens: number, nowMs: number): void {
    if (reservation.settled) throw new Error('A settled reservation cannot be extended.');
    this.#grow(reservation, delta, kvTokens, nowMs);
    // It is longer than the longer ones: typical of it is what it holds now.
    const own = reservation as OwnReservation;
    this.#hold(own.typical, -1);
    own.typical = { ...own.typical, contextTokens: own.kvTokens, kvTokens: own.kvTokens };
    this.#hold(own.typical, 1);
  }

  /** It has its first token: its prefill is ahead of nobody any more. */
  prefilled(reservation: Reservation): void {
    const own = reservation as OwnReservation;
    if (own.settled || own.prefilled) return;
    own.prefilled = true;
    this.#prefillAheadUs -= own.work.prefillUs;
  }

  /** What it took in the end; the rest is returned at once. Throws when it was settled before (a programmer's error). */
  settle(reservation: Reservation, actual: Work, nowMs: number): void {
    if (reservation.settled) throw new Error('A reservation settles once.');
    const overrunUs = totalUs(actual) - totalUs(reservation.work);
    if (overrunUs > 0) this.#grow(reservation, { prefillUs: 0, decodeUs: overrunUs }, 0, nowMs);
    const reservedUs = totalUs(reservation.work);
    const returnedUs = reservedUs - totalUs(actual);
    for (const pool of this.#pools) {
      pool.bucket = added(pool.bucket, pool.workUs(actual) - pool.workUs(reservation.work), nowMs);
    }
    this.#running -= reservation.sequences;
    this.#kvTokens -= reservation.kvTokens;
    this.#hold(reservation.typical, -1);
    this.#outstandingUs -= reservedUs;
    if (!reservation.prefilled) this.#prefillAheadUs -= reservation.work.prefillUs;
    this.#settledUs += totalUs(actual);
    this.#returnedUs += returnedUs;
    (reservation as OwnReservation).settled = true;
  }

  view(nowMs: number): AdmissionView {
    return {
      levelUs: Math.ceil(Math.max(...this.#pools.map(({ bucket }) => drained(bucket, nowMs).levelUs))),
      capacityUs: Math.floor(capacityUs(this.#limits.readyUnits) * (this.#limits.share ?? 1)),
      readyUnits: this.#limits.readyUnits,
      running: this.#running,
      kvTokens: this.#kvTokens,
      kvTokensLikely: Math.max(0, Math.min(this.#kvTokens, this.#typicalKvTokens)),
      outstandingUs: this.#outstandingUs,
      reservedUs: this.#reservedUs,
      settledUs: this.#settledUs,
      returnedUs: this.#returnedUs,
    };
  }

  #isWithin(lease: AdmissionLease, estimate: Estimate, aheadUs: number): boolean {
    const leftUs = lease.grantUs - (this.spentUs - lease.reportedUs) - aheadUs;
    if (totalUs(estimate.work) > leftUs) return false;
    if (this.#running === 0) return true;
    const { sequences, kvTokens } = lease;
    return this.#running + estimate.sequences <= sequences && this.#kvTokens + estimate.kvTokens <= kvTokens;
  }

  #breach(estimate: Estimate, nowMs: number, hasWaited: boolean) {
    const { latency, readyUnits, share } = this.#limits;
    if (latency === undefined) return null;
    this.#fadePrefill(nowMs);
    const outstanding: Outstanding = {
      // What is outstanding is this gateway's own, so it is set against its own part.
      readyUnits: readyUnits * (share ?? 1),
      running: this.#running + estimate.sequences,
      contextTokens: this.#contextTokens + typicalIn(estimate).contextTokens,
      prefillAheadUs: this.#prefillAheadUs,
      prefillLoad: this.#recentPrefillUs / (1000 * this.#prefillMemoryMs()),
    };
    return breachOf(latency, outstanding, estimate.work.prefillUs, estimate.outputTokens, hasWaited);
  }

  #kvNeedWith(estimate: Estimate): number {
    const { kvTokens, kvVariance } = typicalIn(estimate);
    return kvNeed(this.#kvTokens + estimate.kvTokens, this.#typicalKvTokens + kvTokens, this.#kvVariance + kvVariance);
  }

  #hold({ contextTokens, kvTokens, kvVariance }: Typical, sign: 1 | -1): void {
    this.#contextTokens += sign * contextTokens;
    this.#typicalKvTokens += sign * kvTokens;
    this.#kvVariance += sign * kvVariance;
  }

  #prefillMemoryMs(): number {
    return PREFILL_MEMORY_MS * (this.#limits.latency?.slowness ?? 1);
  }

  #fadePrefill(nowMs: number): void {
    const ms = Math.max(0, nowMs - this.#prefillAtMs);
    this.#recentPrefillUs *= Math.exp(-ms / this.#prefillMemoryMs());
    this.#prefillAtMs += ms;
  }

  #grow(reservation: Reservation, delta: Work, kvTokens: number, nowMs: number): void {
    const own = reservation as OwnReservation;
    own.work = {
      prefillUs: own.work.prefillUs + delta.prefillUs,
      decodeUs: own.work.decodeUs + delta.decodeUs,
    };
    own.kvTokens += kvTokens;
    const deltaUs = totalUs(delta);
    for (const pool of this.#pools) pool.bucket = added(pool.bucket, pool.workUs(delta), nowMs);
    this.#kvTokens += kvTokens;
    this.#outstandingUs += deltaUs;
    if (!own.prefilled) this.#prefillAheadUs += delta.prefillUs;
    this.#reservedUs += deltaUs;
  }

  /** When the next place is likely free: what is outstanding takes outstanding ÷ rate in all, so one of `running` that ÷ running. */
  slotMs(): number {
    return Math.max(1, Math.ceil(this.#outstandingUs / (1_000 * this.#limits.readyUnits * this.#running)));
  }
}

function typicalIn({ kvTokens, typical }: Estimate): Typical {
  return typical ?? { contextTokens: kvTokens, kvTokens, kvVariance: 0 };
}
