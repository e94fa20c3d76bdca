/**
 * Events in their total order: time, then priority, then the order in which they were put in. A binary heap over typed
 * arrays; an event is a kind, a target and a version (by which its owner knows whether it still holds).
 */
export interface SimEvent {
  readonly atMs: number;
  readonly kind: number;
  readonly target: number;
  readonly version: number;
}

/** Kinds are their own priorities: at equal times requests come before engines look for them. */
export class EventQueue {
  readonly #heap: Queued[] = [];
  #order = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** When the next event is due; Infinity without one. */
  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY;
  }

  put(atMs: number, kind: number, target: number, version = 0): void {
    const event = { atMs, kind, target, version, order: this.#order };
    this.#order += 1;
    let place = this.#heap.length;
    this.#heap.push(event);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = this.#heap[parent] as Queued;
      if (!before(event, above)) break;
      this.#heap[place] = above;
      place = parent;
    }
    this.#heap[place] = event;
  }

  take(): SimEvent | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    const { length } = this.#heap;
    let place = 0;
    for (let child = 1; child < length; child = 2 * place + 1) {
      if (child + 1 < length && before(this.#heap[child + 1]!, this.#heap[child]!)) child += 1;
      if (!before(this.#heap[child]!, last)) break;
      this.#heap[place] = this.#heap[child]!;
      place = child;
    }
    this.#heap[place] = last;
    return first;
  }
}

type Queued = SimEvent & { readonly order: number };

function before(a: Queued, b: Queued): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.kind === b.kind ? a.order < b.order : a.kind < b.kind;
}
