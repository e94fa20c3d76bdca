import type { WorkerProcess } from '../../engine/llama/spawn.ts';
import type { ConnectEngine, Engine, EngineAddress } from '../../engine/port.ts';
import type { ReplicaSpec, ReplicaState, ReplicaStatus } from '../port.ts';
import { warmUpFailure } from '../warm-up.ts';
import { type RestartPolicy, restartDelayMs } from './restart.ts';

/** What a replica on this machine needs of its fleet. */
export interface Surroundings {
  /** Starts a worker on a socket path of its own. */
  readonly spawn: () => { readonly process: WorkerProcess; readonly address: EngineAddress };
  readonly connect: ConnectEngine;
  readonly restart: RestartPolicy;
  /** A worker that is not ready by then is ended, which counts as a crash. */
  readonly startMsMax: number;
  readonly pollMs: number;
  /**
   * Asks a worker its first request. Resolves with its times against its profile, null = no profile says what to expect.
   * Throws when it does not answer, which counts as a crash.
   */
  readonly warmUp: (engine: Engine) => Promise<number | null>;
  /** Epoch ms, for stamps only. */
  readonly now: () => number;
  readonly changed: () => void;
}

/** A ready worker that misses this many health checks in a row hangs: it is ended, which counts as a crash. */
const MISSED_CHECKS_MAX = 3;
const READY_POLL_FACTOR = 20;

/**
 * One worker process and its successors. starting → ready; a crash → starting again after a back-off, or failed after
 * too many; stop → draining → stopped.
 */
export class LocalReplica {
  readonly #spec: ReplicaSpec;
  readonly #around: Surroundings;
  /** On a clock that never goes back, as all durations here. */
  readonly #crashesAtMs: number[] = [];
  #state: ReplicaState = 'starting';
  #address: EngineAddress | null = null;
  #startedAtMs: number;
  #readyAtMs: number | null = null;
  #timeScale: number | null = null;
  #restarts = 0;
  #failure: string | null = null;
  /** Why the present process is ended, where its own end does not say. */
  #fault: string | null = null;
  #process: WorkerProcess | null = null;
  #engine: Engine | null = null;
  #timer: NodeJS.Timeout | null = null;
  #stopping: Promise<void> | null = null;

  constructor(spec: ReplicaSpec, around: Surroundings) {
    this.#spec = spec;
    this.#around = around;
    this.#startedAtMs = around.now();
    this.#launch();
  }

  get status(): ReplicaStatus {
    return {
      ...this.#spec,
      state: this.#state,
      address: this.#address,
      startedAtMs: this.#startedAtMs,
      readyAtMs: this.#readyAtMs,
      restarts: this.#restarts,
      failure: this.#failure,
      timeScale: this.#timeScale,
    };
  }

  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  stop(drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  #launch(): void {
    let worker: ReturnType<Surroundings['spawn']>;
    try {
      worker = this.#around.spawn();
    } catch (error) {
      // The machine is out of memory, processes or descriptors: a crash like any other.
      this.#crashed(`The worker could not be started: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    const { process, address } = worker;
    this.#process = process;
    this.#fault = null;
    this.#engine = this.#around.connect(address);
    void process.exited.then(({ reason }) => this.#exited(process, reason));
    void this.#watch(process, this.#engine, address);
  }

  /** Asks for health until the process is gone: often while it starts, seldom once it is ready. */
  async #watch(process: WorkerProcess, engine: Engine, address: EngineAddress): Promise<void> {
    const { pollMs, startMsMax } = this.#around;
    const startedAtMs = performance.now();
    let missed = 0;
    while (this.#process === process) {
      const { ok } = await engine.health(AbortSignal.timeout(pollMs * READY_POLL_FACTOR)).catch(() => ({ ok: false }));
      if (this.#process !== process) return;
      missed = ok ? 0 : missed + 1;
      if (ok && this.#state === 'starting') {
        await this.#warmUp(process, engine, address);
        if (this.#process !== process) return;
      }
      const late = this.#state === 'starting' && performance.now() - startedAtMs > startMsMax;
      if (late || (this.#state === 'ready' && missed >= MISSED_CHECKS_MAX)) process.kill('SIGKILL');
      await this.#pause(this.#state === 'starting' ? pollMs : pollMs * READY_POLL_FACTOR);
    }
  }

  /** Before anyone else uses it: a check beside real requests would time those too. */
  async #warmUp(process: WorkerProcess, engine: Engine, address: EngineAddress): Promise<void> {
    try {
      const timeScale = await this.#around.warmUp(engine);
      if (this.#process !== process || this.#state !== 'starting') return;
      this.#timeScale = timeScale;
      this.#becomeReady(address);
    } catch (error) {
      if (this.#process !== process || this.#state !== 'starting') return;
      this.#fault = `The worker was ended: ${warmUpFailure(error)}`;
      process.kill('SIGKILL');
    }
  }

  #becomeReady(address: EngineAddress): void {
    this.#address = address;
    this.#readyAtMs = this.#around.now();
    this.#set('ready');
  }

  #exited(process: WorkerProcess, reason: string): void {
    if (this.#process !== process) return;
    this.#process = null;
    void this.#engine?.close();
    this.#engine = null;
    if (this.#stopping === null) this.#crashed(this.#fault ?? reason);
  }

  #crashed(reason: string): void {
    const nowMs = performance.now();
    this.#crashesAtMs.push(nowMs);
    if (this.#crashesAtMs.length > this.#around.restart.crashesMax + 1) this.#crashesAtMs.shift();
    this.#failure = reason;
    this.#address = null;
    this.#readyAtMs = null;
    const delayMs = restartDelayMs(this.#crashesAtMs, nowMs, this.#around.restart);
    if (delayMs !== null) {
      this.#timer = setTimeout(() => this.#relaunch(), delayMs);
    }
    this.#set(delayMs === null ? 'failed' : 'starting');
  }

  #relaunch(): void {
    this.#restarts += 1;
    this.#startedAtMs = this.#around.now();
    this.#launch();
    this.#around.changed();
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const process = this.#process;
    if (process !== null) {
      this.#set('draining');
      process.kill('SIGTERM');
      const overdue = setTimeout(() => process.kill('SIGKILL'), drainMs);
      await process.exited;
      clearTimeout(overdue);
    }
    this.#address = null;
    this.#readyAtMs = null;
    this.#set('stopped');
  }

  #set(state: ReplicaState): void {
    this.#state = state;
    this.#around.changed();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      setTimeout(resolve, ms).unref();
    });
  }
}
