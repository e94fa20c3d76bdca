import { CubitError } from '../../core/errors.ts';
import type { ConnectEngine, EngineDialect, KvEventSource } from '../../engine/port.ts';
import { Changes } from '../changes.ts';
import type { Fleet, FleetCapacity, ReplicaSpec, ReplicaStatus, Role } from '../port.ts';
import { Replicas } from '../replicas.ts';
import { StaticReplica } from './replica.ts';

/** A server that already runs and was adopted for a template. */
export interface StaticServer {
  readonly id: string;
  readonly templateId: string;
  /** Base of its OpenAI-compatible API. */
  readonly url: string;
  /** The model's name on that server. */
  readonly model: string;
  readonly dialect: EngineDialect;
  readonly apiKey: string | null;
  /** Which machine of a unit it is. */
  readonly role: Role;
  /** Of an SGLang prefill server, where it is not the default. */
  readonly bootstrapPort: number | null;
  readonly kvEvents: KvEventSource | null;
}

export interface StaticFleetOptions {
  /** The list as it is now; read at every use. */
  readonly servers: () => readonly StaticServer[];
  readonly connect: ConnectEngine;
  readonly now: () => number;
  readonly pollMs?: number;
}

const POLL_MS = 2_000;

/** Replicas on adopted servers: start takes a free server of the template, stop gives it back. */
export class StaticFleet implements Fleet {
  readonly kind = 'static';
  readonly #options: StaticFleetOptions;
  readonly #replicas = new Replicas<StaticReplica>();
  readonly #changes = new Changes();
  #closed = false;

  constructor(options: StaticFleetOptions) {
    this.#options = options;
  }

  serves(templateId: string): boolean {
    return (
      this.#options.servers().some((server) => server.templateId === templateId) ||
      this.#held().some((replica) => replica.status.templateId === templateId)
    );
  }

  capacity(templateId: string): FleetCapacity {
    if (this.#closed) return { free: 0, limit: 'this fleet is shutting down' };
    const adopted = this.#options.servers().filter((server) => server.templateId === templateId).length;
    return { free: this.#free(templateId).length, limit: `${adopted} adopted servers` };
  }

  start(spec: ReplicaSpec): void {
    if (this.#replicas.live(spec.replicaId) !== undefined) return;
    const [server] = this.#closed ? [] : this.#free(spec.templateId).filter(({ role }) => role === spec.role);
    if (server === undefined) {
      const { limit } = this.capacity(spec.templateId);
      const role = spec.role === 'unified' ? '' : `${spec.role} `;
      throw new CubitError(
        'capacity_exhausted',
        `No ${role}server is free for ${spec.templateId}: ${limit}. Adopt another.`,
      );
    }
    const replica = new StaticReplica(server.id, spec, {
      server: () => this.#options.servers().find((one) => one.id === server.id) ?? null,
      connect: this.#options.connect,
      pollMs: this.#options.pollMs ?? POLL_MS,
      now: this.#options.now,
      changed: () => this.#changes.emit(),
    });
    this.#replicas.add(spec.replicaId, replica);
    this.#changes.emit();
  }

  async stop(replicaId: string, drainMs: number): Promise<void> {
    await this.#replicas.get(replicaId)?.stop(drainMs);
  }

  list(): readonly ReplicaStatus[] {
    return this.#replicas.list();
  }

  onChange(listener: () => void): () => void {
    return this.#changes.on(listener);
  }

  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#replicas.all().map((replica) => replica.stop(drainMs)));
  }

  #held(): readonly StaticReplica[] {
    return this.#replicas.all().filter((replica) => replica.status.state !== 'stopped');
  }

  #free(templateId: string): readonly StaticServer[] {
    const held = new Set(this.#held().map((replica) => replica.serverId));
    return this.#options.servers().filter((server) => server.templateId === templateId && !held.has(server.id));
  }
}
