import { occupiedUnits } from './scaling/load.ts';
import type { Scaler, ScalingDecision, ScalingObservation } from './scaling/observation.ts';
import { TimeWindow } from './scaling/window.ts';

export interface SquareRootOptions {
  /** Capacity held per unit of load, the tenant's. */
  readonly coefficient: number;
  /** Units of headroom per square root of the load: fluctuations of many independent requests grow like that. */
  readonly headroom: number;
  /** The load is its mean over this time. */
  readonly smoothMs: number;
  /** A lower need has to last this long before units drain. */
  readonly patienceMs: number;
  /** Above this occupancy units count as full, and their number is no measure of the need. */
  readonly saturation: number;
}

export const SQUARE_ROOT_OPTIONS: SquareRootOptions = {
  coefficient: 1,
  headroom: 2,
  smoothMs: 30_000,
  patienceMs: 600_000,
  saturation: 0.9,
};

/**
 * Units for a load of L full units: k·L + h·√L, the most of the last minutes. Occupancy cannot exceed the units there are,
 * so when they are full the answer is never fewer, whatever k. It does not answer a backlog: a unit that starts for
 * one is ready when a short burst is over.
 */
export class SquareRootScaler implements Scaler {
  readonly #options: SquareRootOptions;
  readonly #load: TimeWindow;
  readonly #need: TimeWindow;

  constructor(options: Partial<SquareRootOptions> = {}) {
    this.#options = { ...SQUARE_ROOT_OPTIONS, ...options };
    this.#load = new TimeWindow(this.#options.smoothMs);
    this.#need = new TimeWindow(this.#options.patienceMs);
  }

  decide(observation: ScalingObservation, nowMs: number): ScalingDecision {
    const { coefficient, headroom, saturation } = this.#options;
    const { drainingUnits, readyUnits, startingUnits } = observation;
    this.#load.add(nowMs, occupiedUnits(observation));
    const load = this.#load.mean();
    const serving = readyUnits + drainingUnits;
    // The first minutes say nothing about a lower need.
    const floor = nowMs < this.#options.patienceMs ? readyUnits + startingUnits : 0;
    const full = serving > 0 && load >= saturation * serving;
    const wanted = Math.max(coefficient * load + headroom * Math.sqrt(load), full ? serving + 1 : 0, floor);
    this.#need.add(nowMs, wanted);
    const desiredUnits = Math.ceil(this.#need.max() - 1e-9);
    const minutes = this.#options.patienceMs / 60_000;
    return {
      desiredUnits,
      reason: `load ${load.toFixed(1)} full units${full ? ', all units full' : ''}: ${wanted.toFixed(1)} wanted now, ${desiredUnits} the most of the last ${minutes} minutes`,
    };
  }
}
