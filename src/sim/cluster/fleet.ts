import type { ScalingDecision, UnitObservation } from '../../core/serving/scaling/observation.ts';
import { childSeed, exponential, normal, type Random, seededRandom } from '../../workload/random.ts';
import type { Machine } from './machine.ts';
import type { ClusterConfig, UnitState } from './types.ts';
import { SimUnit } from './unit.ts';

/** A step of scaling that was taken. */
export interface ScaleEvent {
  readonly atMs: number;
  readonly fromUnits: number;
  readonly toUnits: number;
  readonly reason: string;
}

const SCALE_EVENTS_KEPT = 10_000;

export interface FleetCallbacks {
  /** The unit will be ready, or fail, at `atMs` (kind by its state then). */
  schedule(unit: SimUnit, what: 'ready' | 'failure', atMs: number): void;
  changed(unit: SimUnit): void;
  released(unit: SimUnit): void;
}

/** Units that exist, their starts, drains and failures, and the unit-time that they cost. */
export class SimFleet {
  readonly #config: ClusterConfig;
  readonly #on: FleetCallbacks;
  readonly #startup: Random;
  readonly #failures: Random;
  #units: SimUnit[] = [];
  #launched = 0;
  #desired: number;
  #atMs = 0;
  #startupMs: number;
  #ready: SimUnit[] = [];
  /** Machines of ready units that take new requests. */
  entrances: readonly Machine[] = [];
  unitMs = 0;
  billedMs = 0;
  scaleEvents = 0;
  readonly log: ScaleEvent[] = [];

  constructor(config: ClusterConfig, on: FleetCallbacks) {
    this.#config = config;
    this.#on = on;
    this.#startup = seededRandom(childSeed(config.seed, 1));
    this.#failures = seededRandom(childSeed(config.seed, 2));
    this.#desired = config.initialUnits;
    this.#startupMs = config.startupMs;
  }

  get units(): readonly SimUnit[] {
    return this.#units;
  }

  get ready(): readonly SimUnit[] {
    return this.#ready;
  }

  /** As learned: the mean of the latest starts. */
  get startupMs(): number {
    return this.#startupMs;
  }

  count(state: UnitState): number {
    let count = 0;
    for (const unit of this.#units) if (unit.state === state) count += 1;
    return count;
  }

  /** The first units are there at time 0. */
  begin(): void {
    for (let index = 0; index < this.#config.initialUnits; index += 1) this.#becomeReady(this.#launch(0), 0);
  }

  observe(nowMs: number, windowMs: number): UnitObservation[] {
    return this.#units.map((unit) => unit.observe(nowMs, windowMs));
  }

  scale(decision: ScalingDecision, nowMs: number): void {
    const { maxUnits, minUnits } = this.#config;
    const wanted = Number.isFinite(decision.desiredUnits) ? Math.round(decision.desiredUnits) : this.#desired;
    const desired = Math.min(maxUnits, Math.max(minUnits, wanted));
    if (desired !== this.#desired) {
      this.scaleEvents += 1;
      if (this.log.length < SCALE_EVENTS_KEPT) {
        this.log.push({ atMs: nowMs, fromUnits: this.#desired, toUnits: desired, reason: decision.reason });
      }
      this.#desired = desired;
    }
    this.reconcile(nowMs);
  }

  /** Draining units are taken back before new ones start; starts are cancelled before ready units drain. */
  reconcile(nowMs: number): void {
    this.#book(nowMs);
    const starting = this.#in('starting');
    let active = this.#ready.length + starting.length;
    for (const unit of this.#in('draining').toReversed()) {
      if (active >= this.#desired) break;
      this.#becomeReady(unit, nowMs);
      active += 1;
    }
    for (; active < this.#desired; active += 1) this.#launchLater(nowMs);
    for (const unit of starting.toReversed()) {
      if (active <= this.#desired) break;
      this.#release(unit, nowMs);
      active -= 1;
    }
    const leastFirst = [...this.#ready].sort((a, b) => a.outstandingUs - b.outstandingUs);
    for (const unit of leastFirst) {
      if (active <= this.#desired) break;
      this.#setState(unit, 'draining', nowMs);
      active -= 1;
      this.releaseIfEmpty(unit, nowMs);
    }
  }

  /** A start is over. */
  started(unit: SimUnit, nowMs: number): void {
    if (unit.state !== 'starting') return;
    this.#startupMs = 0.8 * this.#startupMs + 0.2 * (nowMs - unit.launchedMs);
    this.#becomeReady(unit, nowMs);
    this.reconcile(nowMs);
  }

  /** Gone at once; the caller takes care of what ran on it, then calls `reconcile` for a replacement. */
  failed(unit: SimUnit, nowMs: number): boolean {
    if (unit.state === 'released' || unit.state === 'starting') return false;
    this.#release(unit, nowMs);
    return true;
  }

  releaseIfEmpty(unit: SimUnit, nowMs: number): void {
    if (unit.state === 'draining' && unit.running === 0) this.#release(unit, nowMs);
  }

  end(nowMs: number): void {
    for (const unit of [...this.#units]) this.#release(unit, nowMs);
  }

  #in(state: UnitState): SimUnit[] {
    return this.#units.filter((unit) => unit.state === state);
  }

  #launch(nowMs: number): SimUnit {
    const unit = new SimUnit(this.#launched, this.#config.unit, nowMs);
    this.#launched += 1;
    this.#book(nowMs);
    this.#units.push(unit);
    this.#on.changed(unit);
    return unit;
  }

  #launchLater(nowMs: number): void {
    const unit = this.#launch(nowMs);
    this.#on.schedule(unit, 'ready', nowMs + this.#drawStartupMs());
  }

  #drawStartupMs(): number {
    const { startupCv, startupMs } = this.#config;
    if (startupCv === 0) return startupMs;
    const variance = Math.log(1 + startupCv ** 2);
    return startupMs * Math.exp(Math.sqrt(variance) * normal(this.#startup) - variance / 2);
  }

  #becomeReady(unit: SimUnit, nowMs: number): void {
    const { failureMsMean } = this.#config;
    const first = unit.state === 'starting';
    this.#setState(unit, 'ready', nowMs);
    if (first && failureMsMean !== null) {
      this.#on.schedule(unit, 'failure', nowMs + failureMsMean * exponential(this.#failures));
    }
  }

  #release(unit: SimUnit, nowMs: number): void {
    this.#setState(unit, 'released', nowMs);
    this.#units = this.#units.filter((other) => other !== unit);
    this.#on.released(unit);
  }

  #setState(unit: SimUnit, state: UnitState, nowMs: number): void {
    this.#book(nowMs);
    unit.state = state;
    unit.sinceMs = nowMs;
    if (state === 'ready') for (const machine of unit.machines) machine.readyMs ??= nowMs;
    this.#ready = this.#in('ready');
    this.entrances = this.#ready.flatMap(({ machines }) => machines.filter(({ role }) => role !== 'decode'));
    this.#on.changed(unit);
  }

  /** The integrals of units over time; the checker adds up intervals instead. */
  #book(nowMs: number): void {
    const ms = nowMs - this.#atMs;
    this.#atMs = nowMs;
    if (ms <= 0) return;
    this.unitMs += this.#units.length * ms;
    // As the product bills: nobody pays for a start or a drain (core/commerce/elastic-unit.ts).
    this.billedMs += this.#ready.length * ms;
  }
}
