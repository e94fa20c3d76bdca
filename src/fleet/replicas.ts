import type { ReplicaStatus } from './port.ts';

/** Stopped replicas that are still listed, so that who looks seldom sees how they ended. */
const STOPPED_LISTED_MAX = 32;

export interface Listed {
  readonly status: ReplicaStatus;
}

/** A fleet's replicas by id, in order of their start; the oldest stopped ones are forgotten. */
export class Replicas<R extends Listed> {
  readonly #byId = new Map<string, R>();

  get(replicaId: string): R | undefined {
    return this.#byId.get(replicaId);
  }

  /** The replica of that id unless it is stopped: then the id may be started again. */
  live(replicaId: string): R | undefined {
    const replica = this.#byId.get(replicaId);
    return replica?.status.state === 'stopped' ? undefined : replica;
  }

  add(replicaId: string, replica: R): void {
    this.#byId.delete(replicaId);
    this.#byId.set(replicaId, replica);
    const stopped = [...this.#byId].filter(([, one]) => one.status.state === 'stopped');
    for (const [id] of stopped.slice(0, Math.max(0, stopped.length - STOPPED_LISTED_MAX))) this.#byId.delete(id);
  }

  all(): readonly R[] {
    return [...this.#byId.values()];
  }

  list(): readonly ReplicaStatus[] {
    return this.all().map((replica) => replica.status);
  }
}
