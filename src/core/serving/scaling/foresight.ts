import { type ExplainedDecision, headroom, Scaling, type ScalingPolicy } from '../scaling.ts';
import { WeekForecast, type WeekProfile } from './forecast.ts';
import type { Scaler, ScalingObservation } from './observation.ts';

/**
 * The decision with what is usual at this time of the week: units for it are held as a minimum, so that it can only add
 * to what is needed now. Without history, or while the forecast has not helped, it is the decision as it is.
 */
export class ForesightScaling implements Scaler {
  readonly forecast: WeekForecast;
  readonly #scaling: Scaling;
  readonly #coefficient: number;

  constructor(
    policy: Partial<ScalingPolicy> & { readonly coefficient: number; readonly zone: string },
    profile: WeekProfile | null = null,
  ) {
    this.#scaling = new Scaling(policy);
    this.#coefficient = policy.coefficient;
    this.forecast = new WeekForecast(policy.zone, profile);
  }

  decide(seen: ScalingObservation, nowMs: number): ExplainedDecision {
    const ahead = this.forecast.ahead(seen, nowMs);
    if (ahead === null) return this.#scaling.decide(seen, nowMs);
    const usualUnits = Math.ceil(headroom(ahead.load, this.#coefficient) - 1e-9);
    const floor = Math.min(seen.maxUnits, usualUnits);
    const decision = this.#scaling.decide({ ...seen, minUnits: Math.max(seen.minUnits, floor) }, nowMs);
    const inputs = { ...decision.inputs, forecast: ahead.load, forecastSkill: ahead.skill };
    if (decision.cause !== 'schedule' || floor <= seen.minUnits) return { ...decision, inputs };
    const seconds = Math.round(seen.startupMs / 1_000);
    const better = Math.round(100 * ahead.skill);
    const reason = `At this time of the week load usually rises to ${ahead.load.toFixed(1)} full units within the ${seconds} s that a start takes (lately ${better} % nearer than load that stays): ${floor} units are held for it.`;
    return { ...decision, cause: 'forecast', reason, inputs };
  }
}
