import { occupiedUnits } from './scaling/load.ts';
import type { Scaler, ScalingDecision, ScalingObservation } from './scaling/observation.ts';
import { TimeWindow } from './scaling/window.ts';

/**
 * How many units a served model should have: measured need, headroom for its randomness, patience on the way down. Pure;
 * the simulator and production run it. Method and figures: docs/elasticity.md.
 */

export interface ScalingPolicy {
  /** Elasticity coefficient: units held per unit of need. */
  readonly coefficient: number;
  /** Fewer units are needed for so long before one is given back. */
  readonly scaleInAfterMs: number;
  /** Latency targets besides the coefficient; null: none. */
  readonly ttftMsMax: number | null;
  readonly tpotMsMax: number | null;
}

/** The defaults for all traffic; only the coefficient is the tenant's. */
export const SCALING_DEFAULTS: ScalingPolicy = {
  coefficient: 1,
  scaleInAfterMs: 300_000,
  ttftMsMax: null,
  tpotMsMax: null,
};

export const SCALING_CAUSES = [
  'need',
  'backlog',
  'latency',
  'schedule',
  'forecast',
  'bounds',
  'idle',
  'wake',
  'hold',
] as const;
export type ScalingCause = (typeof SCALING_CAUSES)[number];

export interface ExplainedDecision extends ScalingDecision {
  readonly cause: ScalingCause;
  /** What it was decided from. */
  readonly inputs: Readonly<Record<string, number>>;
}

/** Headroom of a square root: load of n independent requests varies by √n. */
const HEADROOM = 2;
const SMOOTHING_MS = 30_000;
/** Backlog is to be worked off within so long once units are there. */
const BACKLOG_MS = 30_000;
/** Load that changes by more than this share of itself within a start-up time comes in bursts that units cannot answer. */
const VOLATILITY_MAX = 0.4;
/** How fast volatility forgets. */
const VOLATILITY_MS = 1_800_000;
/** Patience in bursts, as a multiple: what the last burst needed is held for the next one. */
const BURST_PATIENCE = 2;
/** A measured latency above its target asks for so many more units at a time. */
const LATENCY_STEP = 0.1;
/** Above this the units are full and occupancy says nothing about how much more is wanted. */
const FULL = 0.95;

interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/**
 * The memory of one served model's scaling: half a minute of occupancy, the highest need within the patience on the way
 * down, and how much load changes within a start-up time. That decides between two ways. Load that lasts: what waits
 * counts as need, for units launched now will find it. Load in bursts shorter than a start: a unit launched for what waits
 * would come after it, so the need is what the units held at the last bursts, kept for longer. It starts empty, in the
 * second way, so a restart costs no more than that patience.
 */
export class Scaling implements Scaler {
  readonly #policy: ScalingPolicy;
  readonly #occupancy = new TimeWindow(SMOOTHING_MS);
  readonly #offered = new TimeWindow(SMOOTHING_MS);
  /** Falling values: the first is the highest need within the patience. */
  readonly #needs: Sample[] = [];
  /** Offered load of the last start-up time; how much it changed over one, and how much there was, as sums that fade. */
  readonly #earlier: Sample[] = [];
  #changed = 0;
  #seen = 0;
  #requestsPerUnit = 0;
  #startedAtMs: number | null = null;

  constructor(policy: Partial<ScalingPolicy> = {}) {
    this.#policy = { ...SCALING_DEFAULTS, ...policy };
  }

  decide(now: ScalingObservation, nowMs: number): ExplainedDecision {
    const { coefficient, scaleInAfterMs } = this.#policy;
    this.#startedAtMs ??= nowMs;
    const occupancy = occupiedUnits(now);
    this.#occupancy.add(nowMs, occupancy);
    const load = this.#occupancy.mean();
    const presses = now.queued > 0 || now.refused > 0;
    const lasts = this.#lasts(now, occupancy, nowMs);
    const waiting = lasts ? this.#waitingUnits(now) : 0;
    const late = isLate(now, this.#policy);
    const have = now.readyUnits + now.startingUnits;
    // Full units measure no more than themselves: a coefficient below 1 must not read that as too many.
    const saturated = presses || occupancy >= FULL * (now.readyUnits + now.drainingUnits);
    const wakes = have === 0 && presses;
    const floor = wakes ? 1 : saturated ? have : 0;
    const need = Math.max(headroom(load + waiting, coefficient), floor) * (1 + (late ? LATENCY_STEP : 0));
    const patienceMs = scaleInAfterMs * (lasts ? 1 : BURST_PATIENCE);
    const held = this.#held(need, nowMs, patienceMs);
    const wanted = Math.ceil(held - 1e-9);
    // Nothing is given back before there was time to see what is needed.
    const settled = nowMs - this.#startedAtMs >= Math.max(scaleInAfterMs, now.startupMs);
    const free = wanted < have && !settled ? have : wanted;
    const desiredUnits = Math.min(now.maxUnits, Math.max(now.minUnits, free));
    const figures = { load, waiting, need, held, have };
    const choice = { desiredUnits, free, wanted, late, wakes };
    const { cause, reason } = reasonOf(choice, figures, now, patienceMs);
    return { desiredUnits, cause, reason, inputs: { ...figures, queued: now.queued, refused: now.refused } };
  }

  /** Whether load changes little within a start-up time; before anything was seen, not. */
  #lasts(now: ScalingObservation, occupancy: number, nowMs: number): boolean {
    const running = now.units.reduce((sum, unit) => sum + unit.running, 0);
    if (occupancy > 0.5 && running > 0) this.#requestsPerUnit = running / occupancy;
    this.#offered.add(nowMs, occupancy + this.#filledBy(now.queued));
    const load = this.#offered.mean();
    const fades = Math.exp(-now.windowMs / VOLATILITY_MS);
    this.#changed *= fades;
    this.#seen *= fades;
    this.#earlier.push({ atMs: nowMs, value: load });
    while (this.#earlier[0]!.atMs <= nowMs - now.startupMs) {
      const { value } = this.#earlier.shift()!;
      this.#changed += Math.abs(load - value);
      this.#seen += Math.max(load, value);
    }
    return this.#seen > 0 && this.#changed < VOLATILITY_MAX * this.#seen;
  }

  /** Units that so many requests would fill, as far as full units have shown. */
  #filledBy(requests: number): number {
    return this.#requestsPerUnit > 0 ? requests / this.#requestsPerUnit : 0;
  }

  /** Units that what waits would fill, and those that work it off in time. */
  #waitingUnits(now: ScalingObservation): number {
    const refusedWorkUs = now.arrivals > 0 ? (now.refused * now.arrivedWorkUs) / now.arrivals : 0;
    return this.#filledBy(now.queued) + (now.queuedWorkUs + refusedWorkUs) / (1_000 * BACKLOG_MS);
  }

  /** The highest need within the patience. */
  #held(need: number, nowMs: number, patienceMs: number): number {
    while (this.#needs.length > 0 && this.#needs.at(-1)!.value <= need) this.#needs.pop();
    this.#needs.push({ atMs: nowMs, value: need });
    while (this.#needs[0]!.atMs < nowMs - BURST_PATIENCE * this.#policy.scaleInAfterMs) this.#needs.shift();
    return this.#needs.find(({ atMs }) => atMs >= nowMs - patienceMs)!.value;
  }
}

/** `k × load + β√load`, in units. */
export function headroom(load: number, coefficient: number): number {
  return coefficient * load + HEADROOM * Math.sqrt(load);
}

function isLate({ ttftMsMean, tpotMsMean }: ScalingObservation, { ttftMsMax, tpotMsMax }: ScalingPolicy): boolean {
  const late = (measured: number | null, max: number | null) => measured !== null && max !== null && measured > max;
  return late(ttftMsMean, ttftMsMax) || late(tpotMsMean, tpotMsMax);
}

interface Choice {
  readonly desiredUnits: number;
  /** Before bounds. */
  readonly free: number;
  /** Before the time that nothing is given back. */
  readonly wanted: number;
  readonly late: boolean;
  readonly wakes: boolean;
}

function reasonOf(
  { desiredUnits, free, wanted, late, wakes }: Choice,
  { load, waiting, held, have }: Readonly<Record<'load' | 'waiting' | 'held' | 'have', number>>,
  { minUnits, maxUnits }: ScalingObservation,
  scaleInAfterMs: number,
): { cause: ScalingCause; reason: string } {
  const need = `The load fills ${one(load)} units; with headroom ${one(held)} are needed`;
  if (desiredUnits < free) {
    return { cause: 'bounds', reason: `${need}, but ${maxUnits} is the most that rule, quota and machines allow.` };
  }
  if (desiredUnits > free && desiredUnits > have) {
    return { cause: 'schedule', reason: `${need}; the rule and its schedule hold ${minUnits} at least.` };
  }
  if (desiredUnits === have) {
    const soon = wanted < have ? ' Fewer would do, but it is too early to tell.' : '';
    return { cause: 'hold', reason: `${need}: ${have} are there.${soon}` };
  }
  if (desiredUnits < have) {
    const seconds = Math.round(scaleInAfterMs / 1_000);
    return {
      cause: 'idle',
      reason: `${need}, and no more were for ${seconds} s: ${have - desiredUnits} of ${have} are given back.`,
    };
  }
  if (wakes) return { cause: 'wake', reason: 'Somebody asks and no unit is there: the first is started.' };
  if (waiting > 0) {
    return { cause: 'backlog', reason: `${need}: ${one(waiting)} of them for requests that wait or were refused.` };
  }
  if (late) return { cause: 'latency', reason: `${need}: measured latency is above its target.` };
  return { cause: 'need', reason: `${need}; ${have} are there.` };
}

function one(value: number): string {
  return value.toFixed(1);
}
