import type { Scaler } from '../../core/serving/scaling/observation.ts';
import type { WorkCoefficients } from '../../core/serving/work.ts';
import type { EngineConfig } from '../engine-types.ts';
import type { Gate } from './gate.ts';
import type { Route } from './route.ts';

/** What one unit is made of: engines that do both, or machines apart for prefill and decode with a transfer between. */
export type UnitConfig =
  | { readonly kind: 'unified'; readonly engine: EngineConfig }
  | {
      readonly kind: 'disaggregated';
      readonly prefill: EngineConfig;
      readonly prefillMachines: number;
      readonly decode: EngineConfig;
      readonly decodeMachines: number;
      /** Time to hand a request's KV cache over: fixed + per prompt token. */
      readonly transferFixedMs: number;
      readonly transferMsPerToken: number;
    };

/** A request is in time when both hold; TTFT counts from its arrival at the gateway. */
export interface SloTargets {
  /** TTFT ≤ this + factor × the prefill of the request alone on an idle unit, nothing cached. */
  readonly ttftMs: number;
  readonly ttftPrefillFactor: number;
  /** Mean time per token. */
  readonly tpotMs: number;
}

export interface ClusterConfig {
  readonly unit: UnitConfig;
  readonly slo: SloTargets;
  readonly initialUnits: number;
  readonly minUnits: number;
  readonly maxUnits: number;
  /** Launch → ready: lognormal of this mean; `startupCv` 0: always the same. */
  readonly startupMs: number;
  readonly startupCv: number;
  /** Mean time between failures of a unit; null: none fails. A failed unit is gone at once, what ran on it with it. */
  readonly failureMsMean: number | null;
  /** How long a request that finds no room may wait for it; 0: refused at once. */
  readonly waitMsMax: number;
  readonly scaleEveryMs: number;
  /** Requests that come earlier are served, not scored. */
  readonly warmUpMs: number;
  readonly seed: number;
}

/** Decisions, each with state of its own: one run each. */
export interface Policies {
  readonly gate: Gate;
  readonly route: Route;
  readonly scaler: Scaler;
}

/** What the unit does alone, for estimates and targets. */
export interface UnitRates {
  readonly coefficients: WorkCoefficients;
  /** B* of a unit, all its machines together. */
  readonly batch: number;
  readonly kvTokens: number;
  /** The largest request that a machine can hold. */
  readonly contextTokens: number;
}

/** How a request ended. `refused`: at the door; `expired`: its time in the queue was over; `failed`: with its unit. */
export type SimOutcome = 'completed' | 'refused' | 'expired' | 'failed';

export type UnitState = 'starting' | 'ready' | 'draining' | 'released';

/**
 * Told of everything that happens, in order of time. The checker and the report listen; neither can change the run.
 */
export interface ClusterListener {
  arrived(id: number, atMs: number): void;
  sent(id: number, unitId: string, atMs: number): void;
  firstToken(id: number, atMs: number): void;
  ended(id: number, outcome: SimOutcome, atMs: number): void;
  unit(unitId: string, state: UnitState, atMs: number): void;
  /** Now and then: what a machine of a ready or draining unit has in it. */
  holds(unitId: string, kvTokens: number, kvTokensMax: number, running: number, batch: number): void;
}
