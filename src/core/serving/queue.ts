import { type Entry, Heap } from './heap.ts';
import { type Load, type Share, type ShareNode, ShareRing } from './shares.ts';

/**
 * Those who wait to be let in. Between shares it is fair by work (`shares.ts`), inside a share the earliest deadline is
 * first, equals in the order in which they came. Nothing overtakes the head, so a large request is not starved by small
 * ones. Bounded by count, work, bytes and age (invariant 9), and so that one share cannot fill it: a share may have as much
 * waiting as is left free after it, so a single one half of all, a second one half of the rest of both, and so on (dynamic
 * thresholds, Choudhury and Hahne 1998). Every operation costs O(log n).
 */
export interface QueueLimits {
  readonly count: number;
  readonly workUs: number;
  readonly bytes: number;
  /** A deadline is at most this far away. */
  readonly ageMs: number;
}

export const DEFAULT_QUEUE_LIMITS: QueueLimits = {
  count: 1_000,
  workUs: 3_600e6,
  bytes: 64 * 1024 * 1024,
  ageMs: 600_000,
};

export interface Waiting {
  readonly deadlineMs: number;
  readonly workUs: number;
  readonly bytes: number;
  /** Whose it is, the outermost first: a key, or a tenant and its key. As many for all of one queue, at least one. */
  readonly shares: readonly Share[];
}

export type Offer = 'queued' | 'full_count' | 'full_work' | 'full_bytes' | 'full_share';

interface Place<T> {
  readonly item: T;
  readonly deadlineMs: number;
  readonly sequence: number;
  readonly path: readonly ShareNode<Heap<Place<T>>>[];
  inLine: Entry<Place<T>> | null;
  inAll: Entry<Place<T>> | null;
}

/** Shares that may be held back ahead of the one that is let in. */
const SHARES_LOOKED_AT = 64;

export class FairQueue<T extends Waiting> {
  readonly #limits: QueueLimits;
  readonly #shares = new ShareRing<Heap<Place<T>>>(() => new Heap<Place<T>>(before));
  readonly #byDeadline = new Heap<Place<T>>(before);
  readonly #places = new Map<T, Place<T>>();
  readonly #load: Load = { count: 0, workUs: 0, bytes: 0 };
  #sequence = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#load.count;
  }

  get workUs(): number {
    return this.#load.workUs;
  }

  get bytes(): number {
    return this.#load.bytes;
  }

  /** One item larger than the work or byte limit still enters an empty queue. */
  offer(item: T, nowMs: number): Offer {
    const refusal = this.#refusal(item);
    if (refusal !== null) return refusal;
    const load = loadOf(item);
    const path: ShareNode<Heap<Place<T>>>[] = [];
    let ring = this.#shares;
    for (const share of item.shares) {
      const node = ring.nodeOf(share);
      ring.joined(node, load);
      path.push(node);
      ring = node.inner;
    }
    const deadlineMs = Math.min(item.deadlineMs, nowMs + this.#limits.ageMs);
    const place: Place<T> = { item, deadlineMs, sequence: this.#sequence++, path, inLine: null, inAll: null };
    place.inLine = lineOf(place).put(place);
    place.inAll = this.#byDeadline.put(place);
    this.#places.set(item, place);
    this.#add(load, 1);
    return 'queued';
  }

  /** The part of each outermost share that is served here, the rest being served elsewhere; those not named are only here. */
  setParts(parts: ReadonlyMap<string, number>): void {
    this.#shares.setParts(parts);
  }

  /** Whose turn it is. */
  head(): T | undefined {
    return this.#firstOf(this.#shares.next());
  }

  /** Whose turn it would be without the outermost shares that are held back; of very many not all are looked at. */
  headOf(accepts: (shareId: string) => boolean): T | undefined {
    return this.#firstOf(this.#shares.nextOf(accepts, SHARES_LOOKED_AT));
  }

  /** Whether an outermost share has something waiting. */
  has(shareId: string): boolean {
    return (this.#shares.find(shareId)?.count ?? 0) > 0;
  }

  #firstOf(share: ShareNode<Heap<Place<T>>> | undefined): T | undefined {
    let node = share;
    for (let inner = node?.inner.next(); inner !== undefined; inner = inner.inner.next()) node = inner;
    return node?.line.least()?.item;
  }

  /** Lets the head in: its shares have had its work. */
  take(): T | undefined {
    const item = this.head();
    const place = item === undefined ? undefined : this.#places.get(item);
    if (place === undefined) return undefined;
    for (const node of place.path) node.ring.served(node, place.item.workUs);
    this.#remove(place);
    return item;
  }

  /** Whether one that comes now would be the head. */
  isNext({ deadlineMs, shares }: Waiting): boolean {
    let ring = this.#shares;
    for (const share of shares) {
      const place = ring.placeOf(share);
      if (place !== 'same') return place === 'before';
      const node = ring.find(share.id) as ShareNode<Heap<Place<T>>>;
      ring = node.inner;
      const first = node.line.least();
      if (first !== undefined) return deadlineMs < first.deadlineMs;
    }
    return this.size === 0;
  }

  /** One was let in without waiting while others do: its shares have had its work. */
  passedBy({ shares, workUs }: Waiting): void {
    if (this.size === 0) return;
    let ring = this.#shares;
    for (const share of shares) {
      const node = ring.nodeOf(share);
      ring.served(node, workUs);
      ring = node.inner;
    }
  }

  /** Work that is likely let in before one that comes now: all of its own share, and of others what their weight brings them meanwhile. */
  aheadUs({ shares }: Waiting): number {
    const path: ShareNode<Heap<Place<T>>>[] = [];
    let ring = this.#shares;
    for (const share of shares) {
      const node = ring.find(share.id);
      if (node === undefined || node.count === 0) break;
      path.push(node);
      ring = node.inner;
    }
    if (path.length < shares.length) return 0;
    let aheadUs = path.at(-1)?.workUs ?? 0;
    for (let depth = path.length - 1; depth >= 0; depth -= 1) {
      const node = path[depth] as ShareNode<Heap<Place<T>>>;
      const othersUs = (path[depth - 1]?.workUs ?? this.workUs) - node.workUs;
      aheadUs += Math.min(othersUs, (aheadUs * (node.ring.weight - node.weight)) / node.weight);
    }
    return aheadUs;
  }

  /** When the first one's time is over, its limited age included; Infinity when nobody waits. */
  nextDeadlineMs(): number {
    return this.#byDeadline.least()?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** It waits no more and was not let in. False when it is not here (any more). */
  remove(item: T): boolean {
    const place = this.#places.get(item);
    if (place !== undefined) this.#remove(place);
    return place !== undefined;
  }

  /** Takes those whose time is over, earliest first. */
  takeExpired(nowMs: number): T[] {
    const expired: T[] = [];
    for (let first = this.#byDeadline.least(); first !== undefined; first = this.#byDeadline.least()) {
      if (first.deadlineMs > nowMs) break;
      this.#remove(first);
      expired.push(first.item);
    }
    return expired;
  }

  #refusal({ bytes, shares, workUs }: Waiting): Offer | null {
    if (this.size >= this.#limits.count) return 'full_count';
    if (this.size > 0 && this.workUs + workUs > this.#limits.workUs) return 'full_work';
    if (this.size > 0 && this.bytes + bytes > this.#limits.bytes) return 'full_bytes';
    // What is free for one share: what is free of what is free for all that it is part of.
    const room = { ...this.#limits };
    let used: Readonly<Load> = this.#load;
    let ring: ShareRing<Heap<Place<T>>> | undefined = this.#shares;
    for (const share of shares) {
      room.count -= used.count;
      room.workUs -= used.workUs;
      room.bytes -= used.bytes;
      const node: ShareNode<Heap<Place<T>>> | undefined = ring?.find(share.id);
      if (node === undefined || node.count === 0) return null;
      if (node.count + 1 > room.count || node.workUs + workUs > room.workUs || node.bytes + bytes > room.bytes) {
        return 'full_share';
      }
      used = node;
      ring = node.inner;
    }
    return null;
  }

  #remove(place: Place<T>): void {
    const load = loadOf(place.item);
    this.#places.delete(place.item);
    if (place.inLine !== null) lineOf(place).remove(place.inLine);
    if (place.inAll !== null) this.#byDeadline.remove(place.inAll);
    // Inner shares first: a share that is left is forgotten with all that is in it.
    for (const node of place.path.toReversed()) node.ring.left(node, load);
    this.#add(load, -1);
    if (this.size === 0) this.#shares.clear();
  }

  #add({ bytes, count, workUs }: Load, sign: 1 | -1): void {
    this.#load.count += sign * count;
    this.#load.workUs += sign * workUs;
    this.#load.bytes += sign * bytes;
  }
}

function loadOf({ bytes, workUs }: Waiting): Load {
  return { count: 1, workUs, bytes };
}

function lineOf<T>({ path }: Place<T>): Heap<Place<T>> {
  return (path.at(-1) as ShareNode<Heap<Place<T>>>).line;
}

function before<T>(a: Place<T>, b: Place<T>): boolean {
  return a.deadlineMs === b.deadlineMs ? a.sequence < b.sequence : a.deadlineMs < b.deadlineMs;
}
