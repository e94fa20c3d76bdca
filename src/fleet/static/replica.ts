import type { ConnectEngine, Engine, EngineAddress } from '../../engine/port.ts';
import type { ReplicaSpec, ReplicaState, ReplicaStatus } from '../port.ts';
import { warmUpFailure, warmUpMs } from '../warm-up.ts';
import type { StaticServer } from './fleet.ts';

export interface Surroundings {
  /** The server as it is listed now; null when it was taken off the list. */
  readonly server: () => StaticServer | null;
  readonly connect: ConnectEngine;
  readonly pollMs: number;
  readonly now: () => number;
  readonly changed: () => void;
}

/**
 * A ready server that misses this many checks in a row is taken out. One slow answer of a busy server is no reason to:
 * what it runs goes on, and what is sent to it meanwhile is tried on another.
 */
const MISSED_CHECKS_MAX = 3;
/** Between two first requests to a server that did not answer the one before. */
const WARM_UP_WAIT_MS_MAX = 60_000;

/**
 * A replica on a server that somebody else runs: watched, never started or ended. Unhealthy shows as starting, taken
 * off the list as failed; both are ready again as soon as the server answers.
 */
export class StaticReplica {
  readonly serverId: string;
  readonly #spec: ReplicaSpec;
  readonly #around: Surroundings;
  readonly #startedAtMs: number;
  #state: ReplicaState = 'starting';
  #connection: { readonly address: EngineAddress; readonly engine: Engine } | null = null;
  #readyAtMs: number | null = null;
  #restarts = 0;
  #missed = 0;
  #warmUpFailures = 0;
  #warmUpFromMs = 0;
  #failure: string | null = null;
  #timer: NodeJS.Timeout | null = null;
  #wake: (() => void) | null = null;
  #stopping: Promise<void> | null = null;

  constructor(serverId: string, spec: ReplicaSpec, around: Surroundings) {
    this.serverId = serverId;
    this.#spec = spec;
    this.#around = around;
    this.#startedAtMs = around.now();
    void this.#watch();
  }

  get status(): ReplicaStatus {
    const reachable = this.#state === 'ready' || this.#state === 'draining';
    return {
      ...this.#spec,
      state: this.#state,
      address: reachable ? (this.#connection?.address ?? null) : null,
      startedAtMs: this.#startedAtMs,
      readyAtMs: this.#readyAtMs,
      restarts: this.#restarts,
      failure: this.#failure,
      timeScale: null,
    };
  }

  stop(drainMs: number): Promise<void> {
    this.#stopping ??= this.#stop(drainMs);
    return this.#stopping;
  }

  async #watch(): Promise<void> {
    while (this.#stopping === null) {
      await this.#check();
      if (this.#stopping === null) await this.#pause(this.#around.pollMs);
    }
  }

  async #check(): Promise<void> {
    const server = this.#around.server();
    if (server === null) {
      this.#show('failed', `Server ${this.serverId} was removed.`);
      return;
    }
    const engine = this.#connect(server);
    const health = await engine.health(AbortSignal.timeout(Math.max(1_000, this.#around.pollMs))).catch(() => ({
      ok: false,
      reason: 'it does not answer',
    }));
    if (this.#stopping !== null) return;
    this.#missed = health.ok ? 0 : this.#missed + 1;
    if (this.#state === 'ready' && this.#missed > 0 && this.#missed < MISSED_CHECKS_MAX) return;
    if (!health.ok) this.#show('starting', `Server ${this.serverId}: ${health.reason}`);
    else if (this.#state !== 'ready') await this.#warmUp(engine);
  }

  /** A first request before anyone else's; one that fails is tried again, later each time. */
  async #warmUp(engine: Engine): Promise<void> {
    // Machines of a unit of several answer only together, which their gateway sees to.
    if (this.#spec.role !== 'unified') return this.#show('ready', null);
    if (performance.now() < this.#warmUpFromMs) return;
    try {
      await warmUpMs(engine);
      if (this.#stopping !== null) return;
      this.#warmUpFailures = 0;
      this.#show('ready', null);
    } catch (error) {
      if (this.#stopping !== null) return;
      const waitMs = Math.min(WARM_UP_WAIT_MS_MAX, this.#around.pollMs * 2 ** this.#warmUpFailures);
      this.#warmUpFailures += 1;
      this.#warmUpFromMs = performance.now() + waitMs;
      this.#show('starting', `Server ${this.serverId}: ${warmUpFailure(error)}`);
    }
  }

  #connect(server: StaticServer): Engine {
    const { url, model, dialect, apiKey, bootstrapPort, kvEvents } = server;
    const more = { ...(bootstrapPort !== null && { bootstrapPort }), ...(kvEvents !== null && { kvEvents }) };
    const address: EngineAddress = { kind: 'openai-http', url, model, dialect, apiKey, ...more };
    if (this.#connection !== null && JSON.stringify(this.#connection.address) === JSON.stringify(address)) {
      return this.#connection.engine;
    }
    void this.#connection?.engine.close();
    this.#connection = { address, engine: this.#around.connect(address) };
    return this.#connection.engine;
  }

  #show(state: ReplicaState, failure: string | null): void {
    if (state === this.#state && (failure === null || failure === this.#failure)) return;
    if (state === 'ready') this.#readyAtMs = this.#around.now();
    else if (this.#state === 'ready') this.#restarts += 1;
    if (state !== 'ready') this.#readyAtMs = null;
    this.#state = state;
    // A server that was not up yet has not failed; one that came back still shows why it was gone.
    this.#failure = failure ?? (this.#restarts === 0 ? null : this.#failure);
    this.#around.changed();
  }

  async #stop(drainMs: number): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#wake?.();
    if (this.#state === 'ready') {
      this.#state = 'draining';
      this.#around.changed();
      await this.#drain(drainMs);
    }
    await this.#connection?.engine.close();
    this.#readyAtMs = null;
    this.#state = 'stopped';
    this.#around.changed();
  }

  /** Waits until the server itself says that nothing runs; one that publishes no figures gets the whole time. */
  async #drain(drainMs: number): Promise<void> {
    const deadlineMs = performance.now() + drainMs;
    let running = true;
    while (running && performance.now() < deadlineMs) {
      await this.#pause(Math.min(this.#around.pollMs, deadlineMs - performance.now()));
      running = (await this.#isRunning()) ?? true;
    }
  }

  async #isRunning(): Promise<boolean | null> {
    const engine = this.#connection?.engine;
    try {
      const metrics = await engine?.metrics(AbortSignal.timeout(Math.max(1_000, this.#around.pollMs)));
      const published = metrics !== undefined && metrics.promptTokensTotal !== null;
      return published ? metrics.running + metrics.waiting > 0 : null;
    } catch {
      return false; // it is gone: nothing runs there any more
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, ms);
    });
  }
}
