import { occupancyOf, occupiedUnits, queuedUnits } from '../../core/serving/scaling/load.ts';
import type { Scaler, ScalingDecision, ScalingObservation } from '../../core/serving/scaling/observation.ts';
import { TimeWindow } from '../../core/serving/scaling/window.ts';

/**
 * Autoscalers as their public descriptions have them, given the best load signal there is (occupancy with the queue, which
 * their usual metrics lack). `coefficient`: units held per full unit of load, their 1 ÷ target utilisation.
 */
function loadOf(observation: ScalingObservation): number {
  return occupiedUnits(observation) + queuedUnits(observation);
}

const said = (desiredUnits: number, reason: string): ScalingDecision => ({ desiredUnits, reason });
const units = (value: number) => Math.ceil(value - 1e-9);

/** Knative KPA: mean over a stable window; twice the capacity wanted in the panic window scales up at once, and only up. */
export class Kpa implements Scaler {
  readonly #coefficient: number;
  readonly #stable = new TimeWindow(180_000);
  readonly #panic = new TimeWindow(60_000);
  #panicUntilMs = Number.NEGATIVE_INFINITY;
  #panicUnits = 0;

  constructor(coefficient: number) {
    this.#coefficient = coefficient;
  }

  decide(observation: ScalingObservation, nowMs: number): ScalingDecision {
    const load = loadOf(observation);
    this.#stable.add(nowMs, load);
    this.#panic.add(nowMs, load);
    const stable = units(this.#coefficient * this.#stable.mean());
    const panic = units(this.#coefficient * this.#panic.mean());
    if (panic >= 2 * Math.max(1, observation.readyUnits)) this.#panicUntilMs = nowMs + 180_000;
    if (nowMs >= this.#panicUntilMs) {
      this.#panicUnits = 0;
      return said(Math.max(1, stable), `stable ${stable}`);
    }
    this.#panicUnits = Math.max(this.#panicUnits, panic, observation.readyUnits);
    return said(this.#panicUnits, `panic ${panic}`);
  }
}

/** Kubernetes HPA: every 15 s, 10 % tolerance, at most doubled or 4 more in 15 s, 300 s stabilisation on the way down. */
export class Hpa implements Scaler {
  readonly #coefficient: number;
  readonly #recommended = new TimeWindow(300_000);
  #nextMs = 0;
  #desired: number | null = null;

  constructor(coefficient: number) {
    this.#coefficient = coefficient;
  }

  decide(observation: ScalingObservation, nowMs: number): ScalingDecision {
    const current = observation.readyUnits + observation.startingUnits;
    if (nowMs < this.#nextMs) return said(this.#desired ?? current, 'between syncs');
    this.#nextMs = nowMs + 15_000;
    const ready = Math.max(1, observation.readyUnits);
    const ratio = (this.#coefficient * loadOf(observation)) / ready;
    const wanted = Math.abs(ratio - 1) <= 0.1 ? current : Math.max(1, units(ratio * ready));
    const limited = Math.min(wanted, Math.max(2 * current, current + 4));
    this.#recommended.add(nowMs, limited);
    // Until the first window is full it keeps what it found.
    const floor = nowMs < 300_000 ? current : 0;
    this.#desired = limited > current ? limited : Math.max(floor, Math.min(current, this.#recommended.max()));
    return said(this.#desired, `utilisation ratio ${ratio.toFixed(2)}`);
  }
}

/** NVIDIA Dynamo's planner: every 180 s the throughput of the last interval sets a floor; every 5 s load moves it by one. */
export class DynamoPlanner implements Scaler {
  readonly #coefficient: number;
  readonly #arrived = new TimeWindow(180_000);
  readonly #load = new TimeWindow(30_000);
  #nextMs = 180_000;
  #floor = 1;

  constructor(coefficient: number) {
    this.#coefficient = coefficient;
  }

  decide(observation: ScalingObservation, nowMs: number): ScalingDecision {
    const { arrivedWorkUs, windowMs } = observation;
    if (windowMs > 0) this.#arrived.add(nowMs, arrivedWorkUs / (1000 * windowMs));
    this.#load.add(nowMs, loadOf(observation));
    if (nowMs >= this.#nextMs) {
      this.#floor = Math.max(1, units(this.#coefficient * this.#arrived.mean()));
      this.#nextMs = nowMs + 180_000;
    }
    const current = observation.readyUnits + observation.startingUnits;
    const wanted = this.#coefficient * this.#load.mean();
    const step = wanted > current ? 1 : wanted < 0.8 * (current - 1) && observation.startingUnits === 0 ? -1 : 0;
    return said(Math.max(this.#floor, current + step), `floor ${this.#floor}, load step ${step}`);
  }
}

/** llm-d's workload variant autoscaler: every 30 s one more while little is spare on units that are not saturated, one less
 * while the others would still have enough to spare. */
export class WvaSaturation implements Scaler {
  readonly #coefficient: number;
  #nextMs = 0;

  constructor(coefficient: number) {
    this.#coefficient = coefficient;
  }

  decide(observation: ScalingObservation, nowMs: number): ScalingDecision {
    const { queued, readyUnits, startingUnits } = observation;
    const current = readyUnits + startingUnits;
    if (nowMs < this.#nextMs) return said(current, 'between rounds');
    this.#nextMs = nowMs + 30_000;
    const threshold = 1 / this.#coefficient;
    const shares = observation.units.filter(({ state }) => state === 'ready').map(occupancyOf);
    const open = shares.filter((share) => share < threshold);
    const spare = open.reduce((sum, share) => sum + threshold - share, 0) / Math.max(1, open.length);
    if (open.length === 0 || spare < 0.1 * threshold || queued > 5 * readyUnits) {
      // It waits for what it started.
      return said(startingUnits > 0 ? current : current + 1, `spare ${spare.toFixed(2)}`);
    }
    const load = shares.reduce((sum, share) => sum + share, 0);
    const without = threshold - load / Math.max(1, readyUnits - 1);
    const fewer = readyUnits > 1 && startingUnits === 0 && without > 0.1 * threshold;
    return said(fewer ? current - 1 : current, `spare ${spare.toFixed(2)}, ${without.toFixed(2)} with one fewer`);
  }
}
