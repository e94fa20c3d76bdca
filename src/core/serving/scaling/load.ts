import type { StepModel } from '../work.ts';
import type { ScalingObservation, UnitObservation } from './observation.ts';

/** Before anything runs: sequences in a full unit. */
const FULL_UNIT_REQUESTS = 64;

/**
 * How many times its own work prefill takes where it fills every step: a step of `stepTokens` prompt tokens also costs what
 * a step costs without them and reads the cache of what decodes (`kvTokens`): 1 + (τ0 + (τ4 + τ5)·K) ÷ (τ1·tokens). A unit
 * whose steps are all full of prefill has done so much less of it than time has passed.
 */
export function prefillStretch(step: StepModel, stepTokens: number, kvTokens: number): number {
  const ownUs = step.tau1Us * stepTokens;
  return ownUs > 0 ? 1 + (step.tau0Us + (step.tau4Us + step.tau5Us) * kvTokens) / ownUs : 1;
}

/** How full a unit is: its batch, its KV cache or its prefill budget, whichever is nearest to its end; 0 to 1. */
export function occupancyOf({ batchShare, kvShare, prefillShare }: UnitObservation): number {
  return Math.max(batchShare, kvShare, prefillShare);
}

/** Load in full units: the occupancy of all units that serve. It cannot exceed their number, however much waits. */
export function occupiedUnits({ units }: ScalingObservation): number {
  let sum = 0;
  for (const unit of units) if (unit.state !== 'starting') sum += occupancyOf(unit);
  return sum;
}

/** What waits at the gateway, in full units: requests over those that a full unit has in it now. */
export function queuedUnits({ queued, units }: ScalingObservation): number {
  if (queued === 0) return 0;
  let running = 0;
  let occupied = 0;
  for (const unit of units) {
    if (unit.state === 'starting') continue;
    running += unit.running;
    occupied += occupancyOf(unit);
  }
  const each = occupied > 0.5 ? running / occupied : FULL_UNIT_REQUESTS;
  return queued / Math.max(1, each);
}
