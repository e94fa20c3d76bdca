import { CubitError } from '../../core/errors.ts';
import type { LoadedModel } from './model.ts';
import type { Scheduler } from './scheduler.ts';

/** Loaded beside the base model at once, at most: each has a KV cache of its own. */
export const WORKER_ADAPTERS_MAX = 4;

export interface LoadedAdapter {
  readonly loaded: LoadedModel;
  readonly scheduler: Scheduler;
}

interface Entry {
  readonly path: string;
  readonly ready: Promise<LoadedAdapter>;
  adapter: LoadedAdapter | null;
}

/**
 * The LoRA adapters of a worker, by the name that requests say as `model`. Each has a context and a scheduler of its own
 * over the same weights, so that no batch mixes two of them and no KV state of one is ever read by another.
 */
export class Adapters {
  readonly #entries = new Map<string, Entry>();
  readonly #load: (path: string) => Promise<LoadedAdapter>;

  constructor(load: (path: string) => Promise<LoadedAdapter>) {
    this.#load = load;
  }

  get names(): readonly string[] {
    return [...this.#entries].flatMap(([name, { adapter }]) => (adapter === null ? [] : [name]));
  }

  get loaded(): readonly LoadedAdapter[] {
    return [...this.#entries.values()].flatMap(({ adapter }) => adapter ?? []);
  }

  find(name: string): LoadedAdapter | null {
    return this.#entries.get(name)?.adapter ?? null;
  }

  /** Throws `conflict` when the name is taken or as many as allowed are loaded, `invalid_request` for a faulty file. */
  async load(name: string, path: string): Promise<void> {
    const known = this.#entries.get(name);
    if (known !== undefined) {
      await known.ready.catch(() => undefined);
      throw new CubitError('conflict', `The adapter ${name} is already loaded.`);
    }
    if (this.#entries.size >= WORKER_ADAPTERS_MAX) {
      throw new CubitError('conflict', `${WORKER_ADAPTERS_MAX} adapters are loaded. Unload one first.`);
    }
    const entry: Entry = { path, ready: this.#load(path), adapter: null };
    this.#entries.set(name, entry);
    try {
      entry.adapter = await entry.ready;
    } catch (error) {
      this.#entries.delete(name);
      throw new CubitError(
        'invalid_request',
        `The adapter ${name} cannot be loaded: it has to be made for this model.`,
        {
          cause: error,
        },
      );
    }
  }

  /** Throws `not_found`, and `conflict` while a request runs on it. */
  async unload(name: string): Promise<void> {
    const adapter = this.find(name);
    if (adapter === null) throw new CubitError('not_found', `The adapter ${name} is not loaded.`);
    if (adapter.scheduler.running + adapter.scheduler.waiting > 0) {
      throw new CubitError('conflict', `The adapter ${name} is in use.`);
    }
    this.#entries.delete(name);
    await adapter.loaded.context.dispose();
  }
}
