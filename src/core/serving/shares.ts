import { type Entry, Heap } from './heap.ts';

/**
 * Fair shares of work: those who wait are served so that, as long as each of two has requests waiting, work ÷ weight that
 * was let in of them differs by less than one request of each. Deficit round robin that serves a share while its deficit is
 * above zero and lets it fall below, with a quantum so small that rounds are skipped by arithmetic instead of played: each
 * share has a `passUs` (work ÷ weight it has had), the least is next, and one that comes back starts at the present round.
 * That is start-time fair queueing (Goyal, Vin, Cheng 1996). A share that has nothing waiting takes no part, so the others
 * borrow its part; it is owed nothing for that.
 */
export interface Share {
  readonly id: string;
  /** Above 0: a share of weight 2 gets twice the work of one of weight 1. */
  readonly weight: number;
}

/** One that begins here while it is served elsewhere is not taken for nothing. */
const PART_MIN = 0.01;

/** What waits. */
export interface Load {
  count: number;
  workUs: number;
  bytes: number;
}

/** One share of a ring, and what waits in it: a line of requests, or a ring of smaller shares. */
export interface ShareNode<L> extends Load {
  readonly id: string;
  readonly ring: ShareRing<L>;
  readonly sequence: number;
  readonly line: L;
  /** Its shares, when it is split further. */
  readonly inner: ShareRing<L>;
  shareWeight: number;
  /** Of it, what counts here: less where other gateways serve the share too. */
  weight: number;
  passUs: number;
  entry: Entry<ShareNode<L>> | null;
}

export class ShareRing<L> {
  readonly #heap = new Heap<ShareNode<L>>(before);
  readonly #nodes = new Map<string, ShareNode<L>>();
  readonly #newLine: () => L;
  /** The `passUs` of the share that was served last. */
  #roundUs = 0;
  #weight = 0;
  #sequence = 0;
  #parts: ReadonlyMap<string, number> = new Map();

  constructor(newLine: () => L) {
    this.#newLine = newLine;
  }

  /** Of all shares that wait. */
  get weight(): number {
    return this.#weight;
  }

  find(id: string): ShareNode<L> | undefined {
    return this.#nodes.get(id);
  }

  /** The share with its present weight; made when it is not known. */
  nodeOf({ id, weight }: Share): ShareNode<L> {
    let node = this.#nodes.get(id);
    if (node === undefined) {
      node = {
        id,
        ring: this,
        sequence: this.#sequence++,
        line: this.#newLine(),
        inner: new ShareRing(this.#newLine),
        weight,
        shareWeight: weight,
        passUs: this.#roundUs,
        count: 0,
        workUs: 0,
        bytes: 0,
        entry: null,
      };
      this.#nodes.set(id, node);
      node.entry = this.#heap.put(node);
    }
    this.#weigh(node, weight);
    return node;
  }

  /** The part of each share that is served here, the rest being served elsewhere; those that are not named are only here. */
  setParts(parts: ReadonlyMap<string, number>): void {
    const before = this.#parts;
    this.#parts = parts;
    for (const id of [...before.keys(), ...parts.keys()]) {
      const node = this.#nodes.get(id);
      if (node !== undefined) this.#weigh(node, node.shareWeight);
    }
  }

  #weigh(node: ShareNode<L>, shareWeight: number): void {
    const weight = shareWeight * Math.max(PART_MIN, this.#parts.get(node.id) ?? 1);
    if (node.count > 0) this.#weight += weight - node.weight;
    node.shareWeight = shareWeight;
    node.weight = weight;
  }

  /** One more waits in it. */
  joined(node: ShareNode<L>, load: Readonly<Load>): void {
    if (node.count === 0) {
      this.#weight += node.weight;
      if (node.passUs < this.#roundUs) this.#pass(node, this.#roundUs);
    }
    node.count += load.count;
    node.workUs += load.workUs;
    node.bytes += load.bytes;
  }

  /** One waits in it no more. */
  left(node: ShareNode<L>, load: Readonly<Load>): void {
    node.count -= load.count;
    node.workUs -= load.workUs;
    node.bytes -= load.bytes;
    if (node.count > 0) return;
    this.#weight -= node.weight;
    // With work that it has had in advance it stays known, or leaving and coming back would clear it.
    if (node.passUs <= this.#roundUs) this.#forget(node);
  }

  /** Its request is let in. */
  served(node: ShareNode<L>, workUs: number): void {
    this.#roundUs = Math.max(this.#roundUs, node.passUs);
    this.#pass(node, this.#roundUs + workUs / node.weight);
  }

  /** The share whose turn it is. */
  next(): ShareNode<L> | undefined {
    for (;;) {
      const node = this.#heap.least();
      if (node === undefined || node.count > 0) return node;
      this.#forget(node);
    }
  }

  /** The share whose turn it would be without those that are held back; only so many are looked at. */
  nextOf(accepts: (id: string) => boolean, visitsMax: number): ShareNode<L> | undefined {
    return this.#heap.leastOf((node) => node.count > 0 && accepts(node.id), visitsMax);
  }

  /** Where the share would stand if it came now, before the one whose turn it is, that one itself, or behind. */
  placeOf({ id }: Share): 'before' | 'same' | 'behind' {
    const next = this.next();
    if (next === undefined) return 'before';
    if (next.id === id) return 'same';
    const node = this.#nodes.get(id);
    if (node !== undefined && node.count > 0) return 'behind';
    return Math.max(node?.passUs ?? 0, this.#roundUs) < next.passUs ? 'before' : 'behind';
  }

  /** Nobody waits: what was is over. */
  clear(): void {
    for (let node = this.#heap.least(); node !== undefined; node = this.#heap.least()) this.#forget(node);
    this.#roundUs = 0;
    this.#weight = 0;
  }

  #pass(node: ShareNode<L>, passUs: number): void {
    node.passUs = passUs;
    if (node.entry !== null) this.#heap.moved(node.entry);
  }

  #forget(node: ShareNode<L>): void {
    if (node.entry !== null) this.#heap.remove(node.entry);
    node.entry = null;
    this.#nodes.delete(node.id);
  }
}

function before<L>(a: ShareNode<L>, b: ShareNode<L>): boolean {
  return a.passUs === b.passUs ? a.sequence < b.sequence : a.passUs < b.passUs;
}
