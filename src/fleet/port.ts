import type { EngineAddress } from '../engine/port.ts';

/**
 * The fleet port: where replicas run. `local` starts worker processes on this machine, `static` hands out servers that
 * already run; both run one contract suite (`fleet.case.ts`).
 */
export type Role = 'unified' | 'prefill' | 'decode' | 'cache' | 'encode';

export interface ReplicaSpec {
  readonly replicaId: string;
  readonly servedModelId: string;
  readonly templateId: string;
  readonly role: Role;
}

/** starting → ready → draining → stopped; a crash goes ready → starting (restarted with back-off) or, given up, → failed. */
export type ReplicaState = 'starting' | 'ready' | 'draining' | 'stopped' | 'failed';

export interface ReplicaStatus extends ReplicaSpec {
  readonly state: ReplicaState;
  /** Known once ready. */
  readonly address: EngineAddress | null;
  readonly startedAtMs: number;
  readonly readyAtMs: number | null;
  readonly restarts: number;
  /** For people: why it failed or last crashed. */
  readonly failure: string | null;
  /** Its times ÷ those of its template's profile, by the self-check at its start; null = not checked. */
  readonly timeScale: number | null;
}

export interface FleetCapacity {
  /** Replicas this fleet can still start for a template. */
  readonly free: number;
  /** For people: what limits it. */
  readonly limit: string;
}

export interface Fleet {
  readonly kind: 'local' | 'static' | 'combined';
  /** Whether this fleet runs replicas of that template. */
  serves(templateId: string): boolean;
  capacity(templateId: string): FleetCapacity;
  /** Begins to start a replica and returns; its way is seen in `list`. Idempotent by id. Throws `capacity_exhausted`. */
  start(spec: ReplicaSpec): void;
  /** No new requests; running ones finish within `drainMs`, then it is stopped. Idempotent; unknown ids resolve. */
  stop(replicaId: string, drainMs: number): Promise<void>;
  list(): readonly ReplicaStatus[];
  /** Called after every change of any status. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
  /** Stops all, each drained up to `drainMs`. Nothing is left running. */
  close(drainMs: number): Promise<void>;
}
