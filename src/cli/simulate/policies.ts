import type { LatencyGuard } from '../../core/serving/latency-guard.ts';
import type { Scaler } from '../../core/serving/scaling/observation.ts';
import { Scaling } from '../../core/serving/scaling.ts';
import { ratedShapeOf, ratingOf } from '../../core/serving/unit.ts';
import { FlatTokenBucket, InFlightTokens, OpenGate } from '../../sim/baselines/gates.ts';
import { type FutureNeed, OracleScaler } from '../../sim/baselines/oracle.ts';
import { LeastLoaded, RoundRobin, SessionAffinity } from '../../sim/baselines/routes.ts';
import { DynamoPlanner, Hpa, Kpa, WvaSaturation } from '../../sim/baselines/scalers.ts';
import { StaticScaler } from '../../sim/baselines/static.ts';
import { CubitGate, type Gate } from '../../sim/cluster/gate.ts';
import { CubitRoute, type Route } from '../../sim/cluster/route.ts';
import type { UnitConfig } from '../../sim/cluster/types.ts';
import { ratesOf } from '../../sim/cluster/unit.ts';
import type { ScalerName, SimulateFlags } from './flags.ts';

/** Seconds' worth of tokens that a flat bucket lets through at once: limits by the minute are what is sold. */
const FLAT_BURST_S = 60;

/** What each needs of headroom to serve well, about; --coefficient replaces it, `auto` by what the trace needed. */
const COEFFICIENTS: Record<Exclude<ScalerName, 'static'>, number> = {
  cubit: 1,
  kpa: 1.6,
  hpa: 1.5,
  dynamo: 1.6,
  wva: 1.6,
  oracle: 1.2,
};

export function gateOf(flags: SimulateFlags, unit: UnitConfig): Gate {
  const rates = ratesOf(unit);
  switch (flags.admission) {
    case 'cubit':
      return new CubitGate(rates, {
        batchPerUnit: rates.batch,
        kvTokensPerUnit: rates.kvTokens,
        // Where requests may wait, one that would be late is served late: it asked for that.
        ...(flags.maxWaitS === 0 ? { latency: guardOf(flags, unit) } : {}),
      });
    case 'flat-tokens':
      return new FlatTokenBucket(flags.flatTokensPerS ?? ratedTokensPerS(unit), FLAT_BURST_S);
    case 'in-flight':
      return new InFlightTokens(flags.inFlightTokens ?? rates.kvTokens);
    case 'none':
      return new OpenGate();
  }
}

function guardOf({ tpotMs, ttftFactor, ttftMs }: SimulateFlags, unit: UnitConfig): LatencyGuard {
  const { step, stepTokensMax } = unit.kind === 'unified' ? unit.engine : unit.prefill;
  return { step, stepTokensMax, ttftMsMax: ttftMs, ttftPrefillFactor: ttftFactor, tpotMsMax: tpotMs };
}

export function routeOf(flags: SimulateFlags, unit: UnitConfig): Route {
  switch (flags.routing) {
    case 'cubit': {
      const { blockTokens, kvTokens } = unit.kind === 'unified' ? unit.engine : unit.prefill;
      return new CubitRoute({ blocksMax: Math.floor(kvTokens / blockTokens) });
    }
    case 'round-robin':
      return new RoundRobin();
    case 'least-loaded':
      return new LeastLoaded();
    case 'session':
      return new SessionAffinity();
  }
}

export function coefficientOf({ coefficient, scaler }: SimulateFlags): number {
  return typeof coefficient === 'number' ? coefficient : scaler === 'static' ? 1 : COEFFICIENTS[scaler];
}

export function scalerOf(name: ScalerName, coefficient: number, units: number, need: FutureNeed | null): Scaler {
  switch (name) {
    case 'cubit':
      return new Scaling({ coefficient });
    case 'static':
      return new StaticScaler(units);
    case 'kpa':
      return new Kpa(coefficient);
    case 'hpa':
      return new Hpa(coefficient);
    case 'dynamo':
      return new DynamoPlanner(coefficient);
    case 'wva':
      return new WvaSaturation(coefficient);
    case 'oracle':
      return new OracleScaler(need!, coefficient);
  }
}

/** As a vendor would state it: input to output 10 : 1. */
function ratedTokensPerS(unit: UnitConfig): number {
  const { batch, contextTokens, kvTokens } = ratesOf(unit);
  const engine = unit.kind === 'unified' ? unit.engine : unit.decode;
  const facts = {
    step: engine.step,
    prefillFixedUs: (unit.kind === 'unified' ? unit.engine : unit.prefill).prefillFixedUs,
    batch,
    kvTokensPerUnit: kvTokens,
    stepTokensMax: engine.stepTokensMax,
    disaggregated: unit.kind === 'disaggregated',
  };
  return ratingOf(facts, [{ ...ratedShapeOf(contextTokens), weight: 1 }]).tokensPerS;
}
