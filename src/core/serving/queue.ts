/**
 * A bounded queue by deadline: the earliest leaves first, equals in the order in which they came. Nothing overtakes the
 * head, so a large request is not starved by small ones. Bounded by count, work, bytes and age (invariant 9).
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
}

export type Offer = 'queued' | 'full_count' | 'full_work' | 'full_bytes';

interface Node<T> {
  readonly item: T;
  readonly deadlineMs: number;
  readonly sequence: number;
  index: number;
}

/** A binary heap that knows where each item stands: offer, take and remove cost O(log n). */
export class DeadlineQueue<T extends Waiting> {
  readonly #limits: QueueLimits;
  readonly #heap: Node<T>[] = [];
  readonly #nodes = new Map<T, Node<T>>();
  #sequence = 0;
  #workUs = 0;
  #bytes = 0;

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#heap.length;
  }

  get workUs(): number {
    return this.#workUs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** One item larger than the work or byte limit still enters an empty queue. */
  offer(item: T, nowMs: number): Offer {
    if (this.size >= this.#limits.count) return 'full_count';
    if (this.size > 0 && this.#workUs + item.workUs > this.#limits.workUs) return 'full_work';
    if (this.size > 0 && this.#bytes + item.bytes > this.#limits.bytes) return 'full_bytes';
    const deadlineMs = Math.min(item.deadlineMs, nowMs + this.#limits.ageMs);
    const node = { item, deadlineMs, sequence: this.#sequence++, index: this.#heap.length };
    this.#heap.push(node);
    this.#nodes.set(item, node);
    this.#workUs += item.workUs;
    this.#bytes += item.bytes;
    this.#up(node);
    return 'queued';
  }

  head(): T | undefined {
    return this.#heap[0]?.item;
  }

  /** When the head's time is over, its limited age included; Infinity when nobody waits. */
  headDeadlineMs(): number {
    return this.#heap[0]?.deadlineMs ?? Number.POSITIVE_INFINITY;
  }

  /** False when it is not here (any more). */
  remove(item: T): boolean {
    const node = this.#nodes.get(item);
    if (node === undefined) return false;
    this.#nodes.delete(item);
    this.#workUs -= item.workUs;
    this.#bytes -= item.bytes;
    const last = this.#heap.pop() as Node<T>;
    if (last !== node) {
      this.#place(last, node.index);
      this.#up(last);
      this.#down(last);
    }
    return true;
  }

  take(): T | undefined {
    const item = this.head();
    if (item !== undefined) this.remove(item);
    return item;
  }

  /** Takes those whose time is over, earliest first. */
  takeExpired(nowMs: number): T[] {
    const expired: T[] = [];
    while (this.headDeadlineMs() <= nowMs) expired.push(this.take() as T);
    return expired;
  }

  #up(node: Node<T>): void {
    while (node.index > 0) {
      const parent = this.#heap[(node.index - 1) >> 1] as Node<T>;
      if (!before(node, parent)) return;
      this.#swap(node, parent);
    }
  }

  #down(node: Node<T>): void {
    for (;;) {
      const left = this.#heap[2 * node.index + 1];
      const right = this.#heap[2 * node.index + 2];
      const child = left !== undefined && right !== undefined && before(right, left) ? right : left;
      if (child === undefined || !before(child, node)) return;
      this.#swap(child, node);
    }
  }

  #swap(a: Node<T>, b: Node<T>): void {
    const at = a.index;
    this.#place(a, b.index);
    this.#place(b, at);
  }

  #place(node: Node<T>, index: number): void {
    this.#heap[index] = node;
    node.index = index;
  }
}

function before<T>(a: Node<T>, b: Node<T>): boolean {
  return a.deadlineMs === b.deadlineMs ? a.sequence < b.sequence : a.deadlineMs < b.deadlineMs;
}
