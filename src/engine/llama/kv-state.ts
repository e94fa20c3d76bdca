import { randomUUID } from 'node:crypto';
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { LlamaContextSequence } from 'node-llama-cpp';
import { CubitError } from '../../core/errors.ts';

export interface KvStateLimits {
  /** States that nobody took are removed after this. */
  readonly ageMsMax: number;
  /** Of all states that wait to be taken; one more is refused with 503. */
  readonly bytesMax: number;
}

const LIMITS: KvStateLimits = { ageMsMax: 30_000, bytesMax: 1 << 30 };
/** Of a state that waits to be taken. */
export const KV_SUFFIX = '.kv';
const TAKEN_SUFFIX = '.taken';

/**
 * KV states on their way from prefill to decode workers: files in a folder that only workers of one fleet share. A state
 * is given once and taken once: whoever takes it renames it first, and removes it when it is loaded.
 */
export class KvStates {
  readonly #folder: string;
  readonly #limits: KvStateLimits;

  constructor(folder: string, limits: KvStateLimits = LIMITS) {
    this.#folder = folder;
    this.#limits = limits;
  }

  /** Writes what a sequence holds; returns the name to take it by. Throws `engine_unavailable` when too much waits. */
  async give(sequence: Pick<LlamaContextSequence, 'saveStateToFile'>): Promise<string> {
    const waitingBytes = this.sweep();
    if (waitingBytes >= this.#limits.bytesMax) {
      throw new CubitError('engine_unavailable', `${waitingBytes} bytes of KV state wait for decode workers already.`);
    }
    const name = randomUUID();
    const path = join(this.#folder, name + KV_SUFFIX);
    try {
      await sequence.saveStateToFile(path);
    } catch (error) {
      rmSync(path, { force: true });
      throw new CubitError('engine_failed', 'The KV state of a prompt could not be written.', { cause: error });
    }
    setTimeout(() => this.sweep(), this.#limits.ageMsMax + 1_000).unref();
    return name;
  }

  /**
   * Loads a state into a sequence, in place of what it holds. `name` is a UUID (checked where requests are read). Throws
   * `engine_unavailable` when the state is gone, `engine_failed` when it cannot be read.
   */
  async take(sequence: Pick<LlamaContextSequence, 'loadStateFromFile' | 'clearHistory'>, name: string): Promise<void> {
    const taken = join(this.#folder, name + TAKEN_SUFFIX);
    try {
      renameSync(join(this.#folder, name + KV_SUFFIX), taken);
    } catch (error) {
      throw new CubitError('engine_unavailable', 'The KV state of this prompt is not there any more.', {
        cause: error,
      });
    }
    try {
      // llama.cpp leaves the old cells in place when it refuses a file.
      await sequence.clearHistory();
      await sequence.loadStateFromFile(taken, { acceptRisk: true });
    } catch (error) {
      throw new CubitError('engine_failed', 'The KV state of a prompt could not be read.', { cause: error });
    } finally {
      rmSync(taken, { force: true });
    }
  }

  /** It is not wanted after all. */
  drop(name: string): void {
    rmSync(join(this.#folder, name + KV_SUFFIX), { force: true });
  }

  /** Removes what is too old, whoever gave it; returns the bytes of the rest. */
  sweep(): number {
    let bytes = 0;
    for (const file of readdirSync(this.#folder)) {
      if (!file.endsWith(KV_SUFFIX) && !file.endsWith(TAKEN_SUFFIX)) continue;
      const path = join(this.#folder, file);
      const stats = statSync(path, { throwIfNoEntry: false });
      if (stats === undefined) continue;
      if (Date.now() - stats.mtimeMs > this.#limits.ageMsMax) rmSync(path, { force: true });
      else bytes += stats.size;
    }
    return bytes;
  }
}
