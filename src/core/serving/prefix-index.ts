/**
 * Which replica has which prefixes in its cache, as far as a router can know: what it sent there, in order of use, each
 * replica bounded by the blocks that its cache holds. Blocks are chained hashes: the n-th stands for all text up to there.
 */
export class PrefixIndex {
  readonly #blocksMax: number;
  /** By replica, least recently used first (a set keeps the order in which it was filled). */
  readonly #held = new Map<string, Set<number>>();
  /** Replicas that hold a block with which a prompt began: who is not among them has nothing of such a prompt. */
  readonly #holdersOfFirst = new Map<number, Set<string>>();

  /** `blocksMax`: of one replica; about 40 bytes each. */
  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  /** By replica, how many blocks it holds from the beginning on; replicas without any are left out. */
  matches(blocks: readonly number[]): ReadonlyMap<string, number> {
    const [first] = blocks;
    const holders = first === undefined ? undefined : this.#holdersOfFirst.get(first);
    if (holders === undefined) return NONE;
    const matches = new Map<string, number>();
    for (const replicaId of holders) {
      const held = this.#held.get(replicaId) as ReadonlySet<number>;
      let matched = 1;
      while (matched < blocks.length && held.has(blocks[matched] as number)) matched += 1;
      matches.set(replicaId, matched);
    }
    return matches;
  }

  /** Share of its bound that a replica's part is filled; at 1, whatever is added drives something else out. */
  fillOf(replicaId: string): number {
    return (this.#held.get(replicaId)?.size ?? 0) / this.#blocksMax;
  }

  /** The replica will hold these blocks. */
  remember(replicaId: string, blocks: readonly number[]): void {
    const [first] = blocks;
    if (first === undefined) return;
    const held = this.#held.get(replicaId) ?? new Set();
    this.#held.set(replicaId, held);
    // From the end, so that the beginning of a prefix outlives its continuation.
    for (let place = blocks.length - 1; place >= 0; place -= 1) {
      const block = blocks[place] as number;
      held.delete(block);
      held.add(block);
    }
    const holders = this.#holdersOfFirst.get(first);
    if (holders === undefined) this.#holdersOfFirst.set(first, new Set([replicaId]));
    else holders.add(replicaId);
    for (const oldest of held) {
      if (held.size <= this.#blocksMax) break;
      held.delete(oldest);
      this.#leave(oldest, replicaId);
    }
  }

  /** The replica has given blocks up and holds at most so many: the least recently used are forgotten. */
  shrink(replicaId: string, blocksLeft: number): void {
    const held = this.#held.get(replicaId);
    if (held === undefined) return;
    for (const oldest of held) {
      if (held.size <= blocksLeft) break;
      held.delete(oldest);
      this.#leave(oldest, replicaId);
    }
  }

  /** A replica is gone, or has restarted with an empty cache. */
  forget(replicaId: string): void {
    for (const block of this.#held.get(replicaId) ?? []) this.#leave(block, replicaId);
    this.#held.delete(replicaId);
  }

  #leave(block: number, replicaId: string): void {
    const holders = this.#holdersOfFirst.get(block);
    if (holders === undefined) return;
    holders.delete(replicaId);
    if (holders.size === 0) this.#holdersOfFirst.delete(block);
  }
}

const NONE: ReadonlyMap<string, number> = new Map();
