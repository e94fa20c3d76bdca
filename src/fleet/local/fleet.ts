import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CubitError } from '../../core/errors.ts';
import { CACHE_SOCKET_SUFFIX } from '../../engine/llama/cache-client.ts';
import { poolFolderOf } from '../../engine/llama/cache-server.ts';
import { workerArguments } from '../../engine/llama/options.ts';
import { type SelfCheckShape, selfCheckMs, timeScaleOf } from '../../engine/llama/self-check.ts';
import { WorkerProcess } from '../../engine/llama/spawn.ts';
import type { ConnectEngine, Engine, EngineAddress } from '../../engine/port.ts';
import { Changes } from '../changes.ts';
import type { Fleet, FleetCapacity, ReplicaSpec, ReplicaStatus } from '../port.ts';
import { Replicas } from '../replicas.ts';
import { warmUpMs } from '../warm-up.ts';
import { LocalReplica } from './replica.ts';
import { RESTART_POLICY, type RestartPolicy } from './restart.ts';

/** What a template asks of the embedded engine. */
export interface LocalTemplate {
  /** What answers say as `model`. */
  readonly modelName: string;
  readonly modelPath: string;
  readonly contextTokens: number;
  readonly sequences: number;
  /** 0 = one less than the machine has cores. */
  readonly threads: number;
  /** What the self-check took when the template was profiled; null = not profiled. */
  readonly selfCheck: (SelfCheckShape & { readonly us: number }) | null;
}

export interface LocalFleetOptions {
  readonly workerPath: string;
  /** Node's executable. */
  readonly execPath: string;
  readonly templates: (templateId: string) => LocalTemplate | null;
  /** A served model's own weights in place of the template's, null for the template's; undefined: not known yet. */
  readonly ownWeights?: (servedModelId: string) => string | null | undefined;
  readonly limits: {
    readonly workersMax: number;
    readonly memoryBytesMax: number;
    readonly memoryBytesPerWorker: number;
  };
  readonly connect: ConnectEngine;
  /** A worker's stderr, a line at a time. */
  readonly log: (entry: { readonly replicaId: string; readonly line: string }) => void;
  readonly now: () => number;
  readonly restart?: RestartPolicy;
  readonly startMsMax?: number;
  readonly pollMs?: number;
}

const START_MS_MAX = 300_000;
const POLL_MS = 100;
const WAITING_MAX = 64;
/** A unix socket's path has to fit 104 bytes on macOS, 108 on Linux. */
const SOCKET_PATH_BYTES_MAX = 103;
const CACHE_WORKER_PATH = fileURLToPath(new URL('../../engine/llama/cache-worker.ts', import.meta.url));

type Launch = readonly [socketPath: string, workerPath: string, args: readonly string[]];

/** Replicas as worker processes of this machine, each on a unix socket that only this user can reach. */
export class LocalFleet implements Fleet {
  readonly kind = 'local';
  readonly #options: LocalFleetOptions;
  readonly #replicas = new Replicas<LocalReplica>();
  readonly #changes = new Changes();
  #folder: string | null = null;
  #sockets = 0;
  #closed = false;

  constructor(options: LocalFleetOptions) {
    this.#options = options;
  }

  serves(templateId: string): boolean {
    return this.#options.templates(templateId) !== null;
  }

  capacity(templateId: string): FleetCapacity {
    if (this.#closed) return { free: 0, limit: 'this machine is shutting down' };
    if (!this.serves(templateId)) return { free: 0, limit: `this machine does not run template ${templateId}` };
    const { workersMax, memoryBytesMax, memoryBytesPerWorker } = this.#options.limits;
    const byMemory = Math.floor(memoryBytesMax / memoryBytesPerWorker);
    const used = this.#replicas.all().filter((replica) => isUsing(replica.status)).length;
    const limit =
      byMemory < workersMax
        ? `memory for ${byMemory} workers (${gigabytes(memoryBytesPerWorker)} each of ${gigabytes(memoryBytesMax)})`
        : `${workersMax} workers on this machine`;
    return { free: Math.max(0, Math.min(workersMax, byMemory) - used), limit };
  }

  start(spec: ReplicaSpec): void {
    if (this.#replicas.live(spec.replicaId) !== undefined) return;
    const { free, limit } = this.capacity(spec.templateId);
    const template = this.#options.templates(spec.templateId);
    if (free === 0 || template === null) {
      throw new CubitError('capacity_exhausted', `No worker is free for ${spec.templateId}: ${limit}.`);
    }
    const { connect, restart, startMsMax, pollMs, now, ownWeights } = this.#options;
    const own = ownWeights === undefined ? null : ownWeights(spec.servedModelId);
    if (own === undefined) throw new CubitError('capacity_exhausted', 'The weights of this unit are not known yet.');
    const weighted = own === null ? template : { ...template, modelPath: own };
    const replica = new LocalReplica(spec, {
      spawn: () => this.#spawn(spec, weighted),
      connect,
      restart: restart ?? RESTART_POLICY,
      startMsMax: startMsMax ?? START_MS_MAX,
      pollMs: pollMs ?? POLL_MS,
      warmUp: (engine) => this.#warmUp(spec, template, engine),
      now,
      changed: () => this.#changes.emit(),
    });
    this.#replicas.add(spec.replicaId, replica);
    this.#changes.emit();
  }

  async stop(replicaId: string, drainMs: number): Promise<void> {
    const replica = this.#replicas.get(replicaId);
    await replica?.stop(drainMs);
    if (replica !== undefined) this.#removeUnusedKvFolder(replica.status.servedModelId);
  }

  list(): readonly ReplicaStatus[] {
    return this.#replicas.list();
  }

  /** The worker's process id, while it has one. */
  pid(replicaId: string): number | null {
    return this.#replicas.get(replicaId)?.pid ?? null;
  }

  onChange(listener: () => void): () => void {
    return this.#changes.on(listener);
  }

  async close(drainMs: number): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#replicas.all().map((replica) => replica.stop(drainMs)));
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true, force: true });
    this.#folder = null;
  }

  /** A first request, and the times of the profiled one. */
  async #warmUp(
    { replicaId, role }: ReplicaSpec,
    { selfCheck }: LocalTemplate,
    engine: Engine,
  ): Promise<number | null> {
    if (role === 'cache') return null;
    const firstMs = await warmUpMs(engine);
    this.#options.log({ replicaId, line: `first request answered in ${firstMs.toFixed(0)} ms` });
    if (selfCheck === null) return null;
    const measuredMs = await selfCheckMs(engine, selfCheck);
    if (measuredMs === null) return null;
    const scale = timeScaleOf(measuredMs, selfCheck);
    const line = `self-check ${measuredMs.toFixed(0)} ms, profiled ${(selfCheck.us / 1000).toFixed(0)} ms: times × ${scale.toFixed(2)}`;
    this.#options.log({ replicaId, line });
    return scale;
  }

  #spawn(spec: ReplicaSpec, template: LocalTemplate): { process: WorkerProcess; address: EngineAddress } {
    const kvFolder = spec.role === 'unified' ? null : this.#kvFolder(spec.servedModelId);
    const { execPath, log } = this.#options;
    const [socketPath, workerPath, args] =
      spec.role === 'cache' && kvFolder !== null ? this.#cacheWorker(kvFolder) : this.#engineWorker(template, kvFolder);
    const process = new WorkerProcess({
      execPath,
      workerPath,
      arguments: args,
      log: (line) => log({ replicaId: spec.replicaId, line }),
    });
    // A worker that is killed leaves its socket behind, and a cache worker its states.
    void process.exited.then(() => {
      rmSync(socketPath, { force: true });
      rmSync(poolFolderOf(socketPath), { recursive: true, force: true });
    });
    return { process, address: { kind: 'llama', socketPath } };
  }

  #engineWorker(template: LocalTemplate, kvFolder: string | null): Launch {
    const { modelName: name, modelPath, contextTokens, sequences, threads } = template;
    const socketPath = this.#socketPath(this.#ownFolder(), '.sock');
    const size = { contextTokens, sequences, threads, waitingMax: WAITING_MAX };
    const worker = { modelPath, ...size, listen: { socketPath }, name, kvFolder };
    return [socketPath, this.#options.workerPath, workerArguments(worker)];
  }

  #cacheWorker(kvFolder: string): Launch {
    // Prefill workers find it by its place.
    const socketPath = this.#socketPath(kvFolder, CACHE_SOCKET_SUFFIX);
    return [socketPath, CACHE_WORKER_PATH, ['--socket', socketPath, '--kv-folder', kvFolder]];
  }

  /** Where the workers of a served model hand KV states over. */
  #kvFolder(servedModelId: string): string {
    const path = join(this.#ownFolder(), `kv-${servedModelId}`);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  #removeUnusedKvFolder(servedModelId: string): void {
    const isUsed = this.#replicas.all().some(({ status }) => status.servedModelId === servedModelId && isUsing(status));
    if (this.#folder === null || isUsed) return;
    rmSync(join(this.#folder, `kv-${servedModelId}`), { recursive: true, force: true });
  }

  /** Only this user can look into it. */
  #ownFolder(): string {
    this.#folder ??= mkdtempSync(join(tmpdir(), 'cubit-'));
    return this.#folder;
  }

  /** A new path for every process: a late answer of a dead one can never be taken for its successor's. */
  #socketPath(folder: string, suffix: string): string {
    const path = join(folder, `${++this.#sockets}${suffix}`);
    if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
      throw new CubitError('config_invalid', `The path of the temporary folder is too long for a socket: ${path}.`);
    }
    return path;
  }
}

function isUsing(status: ReplicaStatus): boolean {
  return status.state !== 'stopped' && status.state !== 'failed';
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
