/** What an engine says of its KV cache, in the words of vLLM's and SGLang's events. */
export type KvEvent =
  | {
      readonly kind: 'stored';
      /** The engine's own names of the blocks, in order. */
      readonly hashes: readonly string[];
      /** Of the block before the first; null at the beginning of a prompt. */
      readonly parent: string | null;
      readonly tokenIds: readonly number[];
      readonly blockTokens: number;
      readonly adapter: string;
      /** '' where the engine does not say. */
      readonly salt: string;
    }
  | { readonly kind: 'removed'; readonly hashes: readonly string[] }
  | { readonly kind: 'cleared' };

/**
 * Which token blocks one replica holds, exactly, from its events. Blocks are chained by a hash of our own over adapter, salt
 * and all tokens up to there, so that a prompt's ids find them whatever the engine hashes with. A block whose parent is not
 * known (events were missed) is left out: then less is found than there is, never more.
 */
export class KvBlocks {
  readonly #blocksMax: number;
  /** By the engine's name, our chain hash; oldest first. */
  readonly #chains = new Map<string, number>();
  /** Two engine blocks can stand for one chain: on two media, or salted in a way that it does not tell. */
  readonly #holders = new Map<number, number>();
  #blockTokens = 0;

  /** `blocksMax`: about 150 bytes each. */
  constructor(blocksMax = 200_000) {
    this.#blocksMax = blocksMax;
  }

  get size(): number {
    return this.#chains.size;
  }

  get heldTokens(): number {
    return this.#chains.size * this.#blockTokens;
  }

  apply(event: KvEvent): void {
    if (event.kind === 'cleared') this.clear();
    else if (event.kind === 'removed') for (const hash of event.hashes) this.#remove(hash);
    else this.#store(event);
  }

  clear(): void {
    this.#chains.clear();
    this.#holders.clear();
  }

  /** Tokens from the beginning of a prompt that are cached for this salt and adapter. */
  matchedTokens(tokenIds: readonly number[], salt: string, adapter: string): number {
    const size = this.#blockTokens;
    if (size === 0 || this.#holders.size === 0) return 0;
    return Math.max(this.#matched(tokenIds, rootOf(salt, adapter)), this.#matched(tokenIds, rootOf('', adapter)));
  }

  #matched(tokenIds: readonly number[], root: number): number {
    let chain = root;
    let matched = 0;
    for (let at = 0; at + this.#blockTokens <= tokenIds.length; at += this.#blockTokens) {
      chain = chained(chain, tokenIds, at, at + this.#blockTokens);
      if (!this.#holders.has(chain)) break;
      matched = at + this.#blockTokens;
    }
    return matched;
  }

  #store({ adapter, blockTokens, hashes, parent, salt, tokenIds }: Extract<KvEvent, { kind: 'stored' }>): void {
    if (this.#blockTokens !== blockTokens) this.clear();
    this.#blockTokens = blockTokens;
    let chain = parent === null ? rootOf(salt, adapter) : this.#chains.get(parent);
    if (chain === undefined) return;
    for (const [index, hash] of hashes.entries()) {
      chain = chained(chain, tokenIds, index * blockTokens, (index + 1) * blockTokens);
      this.#remove(hash);
      this.#chains.set(hash, chain);
      this.#holders.set(chain, (this.#holders.get(chain) ?? 0) + 1);
    }
    for (const oldest of this.#chains.keys()) {
      if (this.#chains.size <= this.#blocksMax) break;
      this.#remove(oldest);
    }
  }

  #remove(hash: string): void {
    const chain = this.#chains.get(hash);
    if (chain === undefined) return;
    this.#chains.delete(hash);
    const left = (this.#holders.get(chain) ?? 1) - 1;
    if (left === 0) this.#holders.delete(chain);
    else this.#holders.set(chain, left);
  }
}

function rootOf(salt: string, adapter: string): number {
  const text = `${adapter}\n${salt}`;
  return chained(
    0,
    Array.from(text, (char) => char.charCodeAt(0)),
    0,
    text.length,
  );
}

/** 53 bits of two FNV-1a hashes with different seeds. */
function chained(from: number, values: readonly number[], start: number, end: number): number {
  let low = 0x811c9dc5 ^ (from >>> 0);
  let high = 0x9747b28c ^ Math.floor(from / 2 ** 32);
  for (let at = start; at < end; at += 1) {
    const value = values[at] ?? 0;
    low = Math.imul(low ^ value, 0x01000193);
    high = Math.imul(high ^ value ^ (low >>> 13), 0x01000193);
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
