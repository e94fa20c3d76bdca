import type { Scaler, ScalingDecision, ScalingObservation } from '../core/serving/scaling/observation.ts';
import type { ElasticRule } from '../core/serving/scaling/rule.ts';
import { Schedule } from '../core/serving/scaling/schedule.ts';
import { Scaling } from '../core/serving/scaling.ts';
import type { TraceRequest } from '../workload/trace.ts';
import { FutureNeed } from './baselines/oracle.ts';
import { StaticScaler } from './baselines/static.ts';
import { CubitGate } from './cluster/gate.ts';
import { CubitRoute } from './cluster/route.ts';
import { simulateCluster } from './cluster/simulate.ts';
import type { SloTargets, UnitConfig } from './cluster/types.ts';
import { ratesOf } from './cluster/unit.ts';

/** Traffic of one stretch of time. */
export interface TrafficSpan {
  /** Epoch milliseconds at its beginning, for schedules. */
  readonly fromMs: number;
  readonly lengthMs: number;
  /** How many such stretches it stands for. */
  readonly weight: number;
  /** Requests that come earlier are served, not scored. */
  readonly warmUpMs: number;
  /** `atMs` from the beginning on. */
  readonly requests: readonly TraceRequest[];
}

export interface PreviewInput {
  readonly spans: readonly TrafficSpan[];
  readonly unit: UnitConfig;
  readonly slo: SloTargets;
  readonly coefficient: number;
  readonly startupMs: number;
  readonly waitMsMax: number;
  /** Units of other groups of the same served model, which serve beside this one. */
  readonly otherUnits: number;
}

/** What a rule, or a fixed number of units, would have given; of the group alone, sums over all that the spans stand for. */
export interface PreviewOutcome {
  readonly baseUnitHours: number;
  readonly addedUnitHours: number;
  readonly unitsMin: number;
  readonly unitsMean: number;
  readonly unitsMax: number;
  readonly requests: number;
  /** Share of requests in time; 0 to 1. */
  readonly metShare: number;
}

const HOUR_MS = 3_600_000;
const SCALE_EVERY_MS = 5_000;
const FIRST_MS = 600_000;
const SEED = 1;

/** Plays the traffic with an elastic rule. */
export function previewRule(input: PreviewInput, rule: ElasticRule): PreviewOutcome {
  const policy = { ...rule, coefficient: input.coefficient };
  return summed(input, rule.minUnits, (span) => {
    const schedule = new Schedule(rule.windows, rule.zone);
    const scaling = new Scaling(policy);
    const floor = (nowMs: number, startupMs: number) => {
      const atMs = span.fromMs + nowMs;
      return input.otherUnits + Math.max(rule.minUnits, schedule.floorWithin(atMs, atMs + startupMs));
    };
    const maxUnits = input.otherUnits + rule.maxUnits;
    const decide = (seen: ScalingObservation, nowMs: number) =>
      scaling.decide({ ...seen, minUnits: Math.min(maxUnits, floor(nowMs, seen.startupMs)), maxUnits }, nowMs);
    const need = new FutureNeed(span.requests, ratesOf(input.unit).coefficients);
    const first = Math.ceil(input.coefficient * need.maxIn(0, FIRST_MS));
    const initialUnits = Math.min(maxUnits, Math.max(floor(0, input.startupMs), first));
    return { decide, initialUnits, minUnits: input.otherUnits + rule.minUnits, maxUnits };
  });
}

/** Plays the traffic with so many units of the group. */
export function previewStatic(input: PreviewInput, units: number): PreviewOutcome {
  const all = input.otherUnits + units;
  const scaler = new StaticScaler(all);
  return summed(input, units, () => ({
    decide: () => scaler.decide(),
    initialUnits: all,
    minUnits: all,
    maxUnits: all,
  }));
}

/** The fewest units, up to `unitsMax`, that are in time for `metShare` of the requests at least; null: none are. */
export function fewestUnits(
  input: PreviewInput,
  metShare: number,
  unitsMax: number,
): { readonly units: number; readonly outcome: PreviewOutcome } | null {
  let low = 0;
  let best: { units: number; outcome: PreviewOutcome } | null = null;
  for (let high = 1; best === null; high = Math.min(unitsMax, high * 2)) {
    const outcome = previewStatic(input, high);
    if (outcome.metShare >= metShare) best = { units: high, outcome };
    else if (high === unitsMax) return null;
    else low = high;
  }
  while (best.units - low > 1) {
    const units = Math.floor((low + best.units) / 2);
    const outcome = previewStatic(input, units);
    if (outcome.metShare >= metShare) best = { units, outcome };
    else low = units;
  }
  return best;
}

interface SpanPolicy {
  decide(seen: ScalingObservation, nowMs: number): ScalingDecision;
  readonly initialUnits: number;
  readonly minUnits: number;
  readonly maxUnits: number;
}

/** Counts the group's ready units at every decision: what is billed, a decision's gap exact. */
class CountingScaler implements Scaler {
  readonly #decide: SpanPolicy['decide'];
  readonly #otherUnits: number;
  unitMs = 0;
  countedMs = 0;
  unitsMin = Number.POSITIVE_INFINITY;
  unitsMax = 0;

  constructor(decide: SpanPolicy['decide'], otherUnits: number) {
    this.#decide = decide;
    this.#otherUnits = otherUnits;
  }

  decide(seen: ScalingObservation, nowMs: number): ScalingDecision {
    this.count(seen.readyUnits - this.#otherUnits, seen.windowMs);
    return this.#decide(seen, nowMs);
  }

  count(readyUnits: number, lengthMs: number): void {
    const units = Math.max(0, readyUnits);
    this.unitMs += units * lengthMs;
    this.countedMs += lengthMs;
    this.unitsMin = Math.min(this.unitsMin, units);
    this.unitsMax = Math.max(this.unitsMax, units);
  }
}

function summed(input: PreviewInput, baseUnits: number, policyOf: (span: TrafficSpan) => SpanPolicy): PreviewOutcome {
  const sum = { lengthMs: 0, unitMs: 0, requests: 0, met: 0 };
  let unitsMin = Number.POSITIVE_INFINITY;
  let unitsMax = 0;
  for (const span of input.spans) {
    const { counting, result } = played(input, span, policyOf(span));
    // After the last answer the base units are still there, and nothing else is for long.
    counting.count(baseUnits, Math.max(0, span.lengthMs - counting.countedMs));
    sum.lengthMs += span.weight * span.lengthMs;
    sum.unitMs += span.weight * Math.max(counting.unitMs, baseUnits * span.lengthMs);
    sum.requests += span.weight * result.requests;
    sum.met += span.weight * result.requests * result.sloAttainment;
    unitsMin = Math.min(unitsMin, counting.unitsMin);
    unitsMax = Math.max(unitsMax, counting.unitsMax);
  }
  const baseUnitHours = (baseUnits * sum.lengthMs) / HOUR_MS;
  return {
    baseUnitHours,
    addedUnitHours: Math.max(0, sum.unitMs / HOUR_MS - baseUnitHours),
    unitsMin,
    unitsMean: sum.unitMs / sum.lengthMs,
    unitsMax,
    requests: sum.requests,
    metShare: sum.requests === 0 ? 1 : sum.met / sum.requests,
  };
}

function played(input: PreviewInput, span: TrafficSpan, policy: SpanPolicy) {
  const { otherUnits, slo, startupMs, unit, waitMsMax } = input;
  const rates = ratesOf(unit);
  const { blockTokens, kvTokens } = unit.kind === 'unified' ? unit.engine : unit.prefill;
  const counting = new CountingScaler(policy.decide, otherUnits);
  const { initialUnits, maxUnits, minUnits } = policy;
  const config = { unit, slo, initialUnits, minUnits, maxUnits, startupMs, waitMsMax, warmUpMs: span.warmUpMs };
  const { result } = simulateCluster(
    { ...config, startupCv: 0, failureMsMean: null, scaleEveryMs: SCALE_EVERY_MS, seed: SEED },
    {
      gate: new CubitGate(rates, { batchPerUnit: rates.batch, kvTokensPerUnit: rates.kvTokens }),
      route: new CubitRoute({ blocksMax: Math.floor(kvTokens / blockTokens) }),
      scaler: counting,
    },
    span.requests,
  );
  return { counting, result };
}
