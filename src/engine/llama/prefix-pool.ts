/** A prompt's KV state that the pool holds. */
export interface PooledPrefix {
  /** Only prompts with this salt may use it. */
  readonly salt: string;
  readonly tokens: readonly number[];
  readonly bytes: number;
  /** Of its file. */
  readonly name: string;
}

/** Prefixes shorter than this are not worth a file. */
export const BLOCK_TOKENS = 32;

/**
 * Which pooled state has the longest beginning in common with a prompt, and which go when there are too many bytes: the
 * least recently used. An index of chained hashes of whole blocks finds it without looking at every state; each use
 * indexes a state anew, so a block always points to the last used of those that have it, and nothing is lost with one
 * that goes.
 */
export class PrefixPool {
  readonly #bytesMax: number;
  readonly #index = new Map<string, PooledPrefix>();
  /** In order of use. */
  readonly #used = new Map<string, PooledPrefix>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get size(): number {
    return this.#used.size;
  }

  /** Takes a state in; returns those that went for it, itself when it is covered by another or too large. */
  add(added: PooledPrefix): PooledPrefix[] {
    if (added.bytes > this.#bytesMax || added.tokens.length < BLOCK_TOKENS) return [added];
    const known = this.#find(added.salt, added.tokens);
    if (known?.common === added.tokens.length) {
      this.#touch(known.prefix);
      return [added];
    }
    const gone: PooledPrefix[] = [];
    // The end of a conversation holds all of its earlier turns.
    if (known?.common === known?.prefix.tokens.length && known !== null) gone.push(this.#remove(known.prefix));
    this.#bytes += added.bytes;
    this.#touch(added);
    for (const oldest of this.#used.values()) {
      if (this.#bytes <= this.#bytesMax) break;
      gone.push(this.#remove(oldest));
    }
    return gone;
  }

  /** The state with the longest beginning in common, at least one block of it. */
  longest(salt: string, prompt: readonly number[]): { readonly prefix: PooledPrefix; readonly common: number } | null {
    const found = this.#find(salt, prompt);
    if (found !== null) this.#touch(found.prefix);
    return found;
  }

  #find(salt: string, prompt: readonly number[]) {
    for (const key of keysOf(salt, prompt).reverse()) {
      const prefix = this.#index.get(key);
      if (prefix === undefined) continue;
      const common = commonTokens(prefix.tokens, prompt);
      // Else two beginnings have the same hash.
      if (common >= BLOCK_TOKENS && prefix.salt === salt) return { prefix, common };
    }
    return null;
  }

  #touch(prefix: PooledPrefix): void {
    this.#used.delete(prefix.name);
    this.#used.set(prefix.name, prefix);
    for (const key of keysOf(prefix.salt, prefix.tokens)) this.#index.set(key, prefix);
  }

  #remove(prefix: PooledPrefix): PooledPrefix {
    this.#used.delete(prefix.name);
    this.#bytes -= prefix.bytes;
    for (const key of keysOf(prefix.salt, prefix.tokens)) if (this.#index.get(key) === prefix) this.#index.delete(key);
    return prefix;
  }
}

/** One for each whole block: salt, length and chained hash (FNV-1a) of all tokens up to its end. */
function keysOf(salt: string, tokens: readonly number[]): string[] {
  const keys: string[] = [];
  let hash = 0x811c9dc5;
  for (const [at, token] of tokens.entries()) {
    hash = Math.imul(hash ^ token, 0x01000193);
    if ((at + 1) % BLOCK_TOKENS === 0) keys.push(`${salt}\0${at + 1}\0${hash >>> 0}`);
  }
  return keys;
}

function commonTokens(held: readonly number[], prompt: readonly number[]): number {
  const longest = Math.min(held.length, prompt.length);
  let common = 0;
  while (common < longest && held[common] === prompt[common]) common++;
  return common;
}
