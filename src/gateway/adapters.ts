import { CubitError } from '../core/errors.ts';
import { ROUTER_SETTINGS } from '../core/serving/routing.ts';
import type { CancelSignal, Engine, InferenceKind } from '../engine/port.ts';
import type { ServedModel } from './served.ts';
import type { AdapterSnapshot, EndpointSnapshot } from './snapshot.ts';
import { untilAborted } from './until-aborted.ts';

/** Loading goes on when the request that began it leaves: others wait for it too. */
const LOAD_MS_MAX = 300_000;
/** Weight of the newest load in what the next is expected to take. */
const LOAD_LEARNING_SHARE = 0.3;

/** Unless the template says otherwise. */
export const ADAPTERS_PER_REPLICA = 4;

interface Held {
  /** Settles when it is loaded. */
  loading: Promise<void>;
  users: number;
}

/**
 * Which LoRA adapters one replica has, by this gateway's record: loaded when a request needs one, the least recently used
 * evicted when the bound is reached, never one in use. Another gateway's are not in it: an engine that has lost one says so,
 * and it is loaded again.
 */
export class ReplicaAdapters {
  readonly #engine: () => Engine;
  readonly #max: number;
  readonly #loadedMs: (ms: number) => void;
  /** Least recently used first. */
  readonly #held = new Map<string, Held>();
  readonly #waiting = new Set<() => void>();
  /** Engines load and unload one after the other, so that no two of these can cross. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(engine: () => Engine, max: number, loadedMs: (ms: number) => void) {
    this.#engine = engine;
    this.#max = max;
    this.#loadedMs = loadedMs;
  }

  has(adapterId: string): boolean {
    return this.#held.has(adapterId);
  }

  /** Whether it is there, or can be without waiting for a request to end. */
  canTake(adapterId: string): boolean {
    return this.has(adapterId) || this.#held.size < this.#max || this.#idle() !== undefined;
  }

  /**
   * Resolves when the adapter is loaded, with what gives it back. Waits while all that the replica holds are in use. Throws
   * `engine_*`, and what aborts the signal.
   */
  async use(adapter: AdapterSnapshot, signal: CancelSignal): Promise<() => void> {
    while (!this.canTake(adapter.adapterId)) await untilAborted(signal, () => this.#turn());
    const { adapterId } = adapter;
    const held = this.#held.get(adapterId) ?? this.#begin(adapter);
    this.#held.delete(adapterId);
    this.#held.set(adapterId, held);
    held.users += 1;
    const release = () => {
      held.users -= 1;
      if (held.users === 0) this.#wake();
    };
    try {
      await untilAborted(signal, () => held.loading);
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The engine says that it has it no longer: the next request loads it again. */
  lost(adapterId: string): void {
    this.#held.delete(adapterId);
  }

  #begin(adapter: AdapterSnapshot): Held {
    const evicted = this.#held.size < this.#max ? undefined : this.#idle();
    if (evicted !== undefined) this.#held.delete(evicted);
    const loading = this.#last.then(() => this.#exchange(evicted, adapter));
    const held: Held = { loading, users: 0 };
    this.#last = loading.catch(() => {
      if (this.#held.get(adapter.adapterId) === held) this.#held.delete(adapter.adapterId);
      this.#wake();
    });
    return held;
  }

  async #exchange(evicted: string | undefined, { adapterId, path }: AdapterSnapshot): Promise<void> {
    const engine = this.#engine();
    const signal = AbortSignal.timeout(LOAD_MS_MAX);
    const startedMs = performance.now();
    try {
      if (evicted !== undefined) await engine.unloadAdapter(evicted, signal);
      await engine.loadAdapter({ name: adapterId, path }, signal);
    } catch (error) {
      // What the engine says of its files and flags is for the operator's log.
      throw new CubitError('engine_failed', 'The adapter could not be loaded on a unit of this endpoint.', {
        cause: error,
      });
    }
    this.#loadedMs(performance.now() - startedMs);
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => void this.#waiting.add(resolve));
  }

  #idle(): string | undefined {
    for (const [adapterId, { users }] of this.#held) if (users === 0) return adapterId;
    return undefined;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resume of waiting) resume();
  }
}

/** One request's hold on its adapter, on every machine that works on it. */
export class AdapterUse {
  readonly #adapter: AdapterSnapshot;
  readonly #replicas: readonly { readonly adapters: ReplicaAdapters }[];
  readonly #releases: (() => void)[] = [];

  constructor(adapter: AdapterSnapshot, replicas: readonly { readonly adapters: ReplicaAdapters }[]) {
    this.#adapter = adapter;
    this.#replicas = replicas;
  }

  /** Sends with the adapter loaded; once more when an engine turns out to have lost it. */
  async send<T>(signal: CancelSignal, send: () => Promise<T>): Promise<T> {
    await this.#hold(signal);
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof CubitError) || error.code !== 'model_not_found') throw error;
      this.release();
      for (const { adapters } of this.#replicas) adapters.lost(this.#adapter.adapterId);
      await this.#hold(signal);
    }
    return send().catch((error: unknown) => {
      if (!(error instanceof CubitError) || error.code !== 'model_not_found') throw error;
      throw new CubitError('engine_failed', 'A unit of this endpoint does not keep the adapter.', { cause: error });
    });
  }

  release(): void {
    for (const release of this.#releases.splice(0)) release();
  }

  async #hold(signal: CancelSignal): Promise<void> {
    for (const { adapters } of this.#replicas) this.#releases.push(await adapters.use(this.#adapter, signal));
  }
}

/** `endpoint:adapter` in two; names of endpoints have no colon. */
export function splitModel(model: string): readonly [endpoint: string, adapter: string | null] {
  const at = model.indexOf(':');
  return at === -1 ? [model, null] : [model.slice(0, at), model.slice(at + 1)];
}

/**
 * The adapter that a request names on its endpoint, by name or id; null when it names none. Throws `model_not_found`, and
 * `unsupported_feature` for embeddings.
 */
export function adapterOf(
  endpoint: EndpointSnapshot,
  name: string | null,
  kind?: InferenceKind,
): AdapterSnapshot | null {
  if (name === null) return null;
  if (kind === 'embedding') {
    throw new CubitError('unsupported_feature', 'Adapters answer chats and completions, no embeddings.', {
      details: { param: 'model' },
    });
  }
  const found = endpoint.adapters?.find((one) => one.name === name || one.adapterId === name);
  if (found !== undefined) return found;
  throw new CubitError(
    'model_not_found',
    `Endpoint "${endpoint.name}" has no adapter "${name.slice(0, 100)}". GET /v1/models lists those it has.`,
    { details: { param: 'model' } },
  );
}

/** Of an endpoint, the served models that an adapter was made for; a turn of their own. */
export function servingAdapter(endpoint: EndpointSnapshot, adapter: AdapterSnapshot | null): EndpointSnapshot {
  if (adapter === null) return endpoint;
  const servedModels = endpoint.servedModels.filter(({ modelId }) => modelId === adapter.baseModelId);
  return { ...endpoint, endpointId: `${endpoint.endpointId}:${adapter.adapterId}`, servedModels };
}

/** What loading an adapter takes on a served model's replicas: learned from each load. */
export class AdapterLoads {
  #ms = ROUTER_SETTINGS.adapterLoadUs / 1_000;

  get expectedUs(): number {
    return this.#ms * 1_000;
  }

  observe(ms: number): void {
    this.#ms += LOAD_LEARNING_SHARE * (ms - this.#ms);
  }
}

/** For a dry run: how long loading the adapter would hold up the request; 0 where a ready replica has it. */
export function coldLoad(
  { adapterLoads, readyReplicas }: Pick<ServedModel, 'adapterLoads' | 'readyReplicas'>,
  adapter: AdapterSnapshot | null,
): { readonly adapterLoadMs?: number } {
  if (adapter === null) return {};
  const isLoaded = readyReplicas.some(({ adapters }) => adapters.has(adapter.adapterId));
  return { adapterLoadMs: isLoaded ? 0 : Math.round(adapterLoads.expectedUs / 1_000) };
}
