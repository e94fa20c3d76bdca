/** Where a value stands in a heap. Only the heap changes it. */
export interface Entry<T> {
  readonly value: T;
  readonly index: number;
}

type OwnEntry<T> = { -readonly [K in keyof Entry<T>]: Entry<T>[K] };

/** A binary heap whose values can be found again: put, remove and move cost O(log n), the least O(1). */
export class Heap<T> {
  readonly #before: (a: T, b: T) => boolean;
  readonly #entries: OwnEntry<T>[] = [];

  /** `before` has to be a strict total order. */
  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before;
  }

  least(): T | undefined {
    return this.#entries[0]?.value;
  }

  /** The least of those that are accepted, among the least `visitsMax`. */
  leastOf(accepts: (value: T) => boolean, visitsMax: number): T | undefined {
    const edge: OwnEntry<T>[] = this.#entries.slice(0, 1);
    for (let visits = 0; visits < visitsMax && edge.length > 0; visits += 1) {
      let at = 0;
      for (let one = 1; one < edge.length; one += 1) {
        if (this.#before((edge[one] as OwnEntry<T>).value, (edge[at] as OwnEntry<T>).value)) at = one;
      }
      const [least] = edge.splice(at, 1) as [OwnEntry<T>];
      if (accepts(least.value)) return least.value;
      for (const child of [this.#entries[2 * least.index + 1], this.#entries[2 * least.index + 2]]) {
        if (child !== undefined) edge.push(child);
      }
    }
    return undefined;
  }

  put(value: T): Entry<T> {
    const entry = { value, index: this.#entries.length };
    this.#entries.push(entry);
    this.#up(entry);
    return entry;
  }

  /** Of an entry that is in this heap. */
  remove({ index }: Entry<T>): void {
    const last = this.#entries.pop() as OwnEntry<T>;
    if (last.index === index) return;
    this.#place(last, index);
    this.moved(last);
  }

  /** The value of an entry that is in this heap has changed its order. */
  moved(entry: Entry<T>): void {
    this.#up(entry);
    this.#down(entry);
  }

  #up(entry: Entry<T>): void {
    while (entry.index > 0) {
      const parent = this.#entries[(entry.index - 1) >> 1] as OwnEntry<T>;
      if (!this.#before(entry.value, parent.value)) return;
      this.#swap(entry, parent);
    }
  }

  #down(entry: Entry<T>): void {
    for (;;) {
      const left = this.#entries[2 * entry.index + 1];
      const right = this.#entries[2 * entry.index + 2];
      const child = left !== undefined && right !== undefined && this.#before(right.value, left.value) ? right : left;
      if (child === undefined || !this.#before(child.value, entry.value)) return;
      this.#swap(child, entry);
    }
  }

  #swap(a: OwnEntry<T>, b: OwnEntry<T>): void {
    const at = a.index;
    this.#place(a, b.index);
    this.#place(b, at);
  }

  #place(entry: OwnEntry<T>, index: number): void {
    this.#entries[index] = entry;
    entry.index = index;
  }
}
