/**
 * What a scaler sees and says. Production (from gateways' and engines' metrics) and the simulator fill in the same
 * observation, so that one decision runs in both. DESIGN §6.
 */

/** One unit that exists. A unit goes starting → ready → draining → released, or back from draining to ready. */
export interface UnitObservation {
  readonly unitId: string;
  readonly state: 'starting' | 'ready' | 'draining';
  /** Since when it is in this state. */
  readonly sinceMs: number;
  /** Sequences in it, those that wait inside its engine included. */
  readonly running: number;
  /** Sequences that decode or prefill ÷ the tier's batch B*, mean since the last observation; 0 to 1. */
  readonly batchShare: number;
  /** Tokens in the KV cache that running sequences likely hold ÷ those it has, now; 0 to 1. */
  readonly kvShare: number;
  /** Prefill since the last observation ÷ what steps full of it would have done; 0 to 1. */
  readonly prefillShare: number;
}

export interface ScalingObservation {
  /** Since the observation before; 0 in the first. Counts below are of this time. */
  readonly windowMs: number;
  readonly units: readonly UnitObservation[];
  readonly startingUnits: number;
  readonly readyUnits: number;
  readonly drainingUnits: number;
  /** Requests in the gateway's queue now, and their estimated work. */
  readonly queued: number;
  readonly queuedWorkUs: number;
  /** Requests that came, whatever became of them, and their estimated work. */
  readonly arrivals: number;
  readonly arrivedWorkUs: number;
  readonly refused: number;
  readonly completed: number;
  /** Means over requests that had their first token, or ended; null where none did. */
  readonly ttftMsMean: number | null;
  readonly tpotMsMean: number | null;
  /** Launch → ready, as learned so far. */
  readonly startupMs: number;
  readonly minUnits: number;
  readonly maxUnits: number;
}

export interface ScalingDecision {
  /**
   * Units wanted, starting and ready ones together. The caller caps it by min and max, takes draining units back before
   * it launches new ones, and on the way down cancels starts before it drains.
   */
  readonly desiredUnits: number;
  /** One sentence for people, with the figures that led to it. */
  readonly reason: string;
}

/** Stateful: called every few seconds with times that never go back. */
export interface Scaler {
  decide(observation: ScalingObservation, nowMs: number): ScalingDecision;
}
