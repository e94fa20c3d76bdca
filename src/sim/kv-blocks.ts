/**
 * Blocks of a KV cache as vLLM keeps them: a free list in order of release whose blocks stay findable by their content
 * until they are taken again, so what was freed longest ago is forgotten first.
 */
const NOTHING = 0;
const PRIVATE_STRIDE = 2 ** 24;

/** What a block holds: part `index` of one request's own tokens, or a prefix that requests share by its hash. */
export function privateContent(request: number, index: number): number {
  return (request + 1) * PRIVATE_STRIDE + index;
}

export class KvBlocks {
  readonly total: number;
  #free: number;
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #users: Int32Array;
  /** 0: nothing that can be found again; positive: private; negative: −1 − hash. */
  readonly #content: Float64Array;
  readonly #blockOfHash = new Map<number, number>();

  constructor(total: number) {
    this.total = total;
    this.#free = total;
    this.#next = new Int32Array(total + 1);
    this.#previous = new Int32Array(total + 1);
    this.#users = new Int32Array(total);
    this.#content = new Float64Array(total);
    // A ring of all blocks; place `total` is its head: what follows it is taken next.
    for (let place = 0; place <= total; place += 1) {
      this.#next[place] = place === total ? 0 : place + 1;
      this.#previous[place] = place === 0 ? total : place - 1;
    }
  }

  get free(): number {
    return this.#free;
  }

  isInUse(block: number): boolean {
    return (this.#users[block] as number) > 0;
  }

  /** Takes the block that was freed longest ago; what it held is forgotten. There must be one (`free`). */
  take(): number {
    const block = this.#next[this.total] as number;
    this.#unlink(block);
    this.#users[block] = 1;
    const content = this.#content[block] as number;
    if (content < NOTHING) this.#blockOfHash.delete(-1 - content);
    this.#content[block] = NOTHING;
    return block;
  }

  /** One more user of a block that was found by its content. */
  share(block: number): void {
    if (this.#users[block] === 0) this.#unlink(block);
    this.#users[block] = (this.#users[block] as number) + 1;
  }

  release(block: number): void {
    const users = (this.#users[block] as number) - 1;
    this.#users[block] = users;
    if (users > 0) return;
    const last = this.#previous[this.total] as number;
    this.#next[last] = block;
    this.#previous[block] = last;
    this.#next[block] = this.total;
    this.#previous[this.total] = block;
    this.#free += 1;
  }

  holds(block: number, content: number): boolean {
    return this.#content[block] === content;
  }

  setPrivate(block: number, content: number): void {
    this.#content[block] = content;
  }

  /** The block that holds the prefix with this hash, in use or free. */
  find(hash: number): number | undefined {
    return this.#blockOfHash.get(hash);
  }

  /** A second copy of a prefix, computed before the first could be found, stays unfindable. */
  setHash(block: number, hash: number): void {
    if (this.#blockOfHash.has(hash)) return;
    this.#blockOfHash.set(hash, block);
    this.#content[block] = -1 - hash;
  }

  #unlink(block: number): void {
    const next = this.#next[block] as number;
    const previous = this.#previous[block] as number;
    this.#next[previous] = next;
    this.#previous[next] = previous;
    this.#free -= 1;
  }
}
