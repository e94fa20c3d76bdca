import type { Scaler, ScalingDecision } from '../../core/serving/scaling/observation.ts';

/** As many units as at the beginning. */
export class StaticScaler implements Scaler {
  readonly #decision: ScalingDecision;

  constructor(units: number) {
    this.#decision = { desiredUnits: units, reason: `always ${units}` };
  }

  decide(): ScalingDecision {
    return this.#decision;
  }
}
