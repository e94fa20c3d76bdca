import type { Candidate } from '../core/serving/routing.ts';
import { totalUs, type Work } from '../core/serving/work.ts';
import type { ConnectEngine, Engine, EngineAddress, EngineDialect } from '../engine/port.ts';
import type { Role } from '../fleet/port.ts';
import { ReplicaAdapters } from './adapters.ts';
import type { KvCache } from './kv-cache.ts';
import type { ReplicaSnapshot } from './snapshot.ts';

/** A replica as the gateway sees it: its connection and what this gateway has running on it. */
export class Replica implements Candidate {
  readonly replicaId: string;
  readonly role: Role;
  readonly address: EngineAddress;
  readonly startedAtMs: number;
  readonly adapters: ReplicaAdapters;
  readonly kv: KvCache;
  /** Takes new requests. */
  ready: boolean;
  running = 0;
  outstandingUs = 0;
  prefillAheadUs = 0;
  /** What its running requests will hold in its KV cache. */
  kvTokensReserved = 0;
  readonly #connect: ConnectEngine;
  readonly #onCloseError: (cause: unknown) => void;
  #engine: Engine | null = null;
  #retired = false;

  constructor(
    snapshot: ReplicaSnapshot & { readonly address: EngineAddress },
    connect: ConnectEngine,
    onCloseError: (cause: unknown) => void,
    adaptersMax: number,
    adapterLoadedMs: (ms: number) => void,
    kv: KvCache,
  ) {
    this.kv = kv;
    this.replicaId = snapshot.replicaId;
    this.role = snapshot.role;
    this.address = snapshot.address;
    this.startedAtMs = snapshot.startedAtMs;
    this.ready = snapshot.state === 'ready';
    this.adapters = new ReplicaAdapters(() => this.engine, adaptersMax, adapterLoadedMs);
    this.#connect = connect;
    this.#onCloseError = onCloseError;
  }

  /** Whether a snapshot still means this very process. */
  is(snapshot: ReplicaSnapshot): boolean {
    return (
      snapshot.replicaId === this.replicaId &&
      snapshot.startedAtMs === this.startedAtMs &&
      JSON.stringify(snapshot.address) === JSON.stringify(this.address)
    );
  }

  get dialect(): EngineDialect {
    return this.address.kind === 'llama' ? 'cubit' : this.address.dialect;
  }

  get engine(): Engine {
    this.#engine ??= this.#connect(this.address);
    return this.#engine;
  }

  enter(sequences: number, work: Work, kvTokens: number): void {
    this.running += sequences;
    this.kvTokensReserved += kvTokens;
    this.outstandingUs += totalUs(work);
    this.prefillAheadUs += work.prefillUs;
  }

  /** A request has its first token. */
  prefilled(work: Work): void {
    this.prefillAheadUs -= work.prefillUs;
  }

  leave(sequences: number, work: Work, prefilled: boolean, kvTokens: number): void {
    this.running -= sequences;
    this.kvTokensReserved -= kvTokens;
    this.outstandingUs -= totalUs(work);
    if (!prefilled) this.prefillAheadUs -= work.prefillUs;
    if (this.#retired && this.running === 0) this.#close();
  }

  /** No new requests; the connection closes after the last one that is running. */
  retire(): void {
    this.ready = false;
    this.#retired = true;
    this.kv.stop();
    if (this.running === 0) this.#close();
  }

  #close(): void {
    const engine = this.#engine;
    this.#engine = null;
    engine?.close().catch(this.#onCloseError);
  }
}
