/**
 * How many units a served model should have: measured need, headroom for its randomness, patience on the way down. Pure;
 * the simulator and production run it. Method and figures: docs/elasticity.md.
 */

/** What is measured of a served model's units at an instant. */
export interface ScalingObservation {
  readonly atMs: number;
  /** Units that take requests. */
  readonly readyUnits: number;
  readonly startingUnits: number;
  readonly drainingUnits: number;
  /**
   * Sum over ready and draining units of how full each is, 0 to 1: the fullest of its decode batch, its KV cache and its
   * prefill budget.
   */
  readonly occupancy: number;
  /** Requests in these units. */
  readonly running: number;
  /** Requests that wait, and the work in them (unit-microseconds). */
  readonly queued: number;
  readonly queuedUs: number;
  /** Work that was refused for want of capacity since the observation before. */
  readonly refusedUs: number;
  /** Of requests that ended lately; null: none did. */
  readonly ttftMsP95: number | null;
  readonly tpotMsP95: number | null;
}

export interface ScalingBounds {
  /** Lowest number of units: the rule's minimum, raised by schedule windows. */
  readonly unitsMin: number;
  /** Highest: the rule's maximum, lowered by quota and machines. */
  readonly unitsMax: number;
  /** Elasticity coefficient: units held per unit of need. */
  readonly coefficient: number;
  /** From launch to ready, as learned. */
  readonly startupMs: number;
  readonly scaleInAfterMs: number;
  readonly ttftMsMax: number | null;
  readonly tpotMsMax: number | null;
}

export const SCALING_CAUSES = ['need', 'backlog', 'latency', 'schedule', 'bounds', 'idle', 'wake', 'hold'] as const;
export type ScalingCause = (typeof SCALING_CAUSES)[number];

export interface ScalingDecision {
  /** Units to have, ready and starting. */
  readonly units: number;
  readonly cause: ScalingCause;
  /** For people. */
  readonly sentence: string;
  /** What it was decided from. */
  readonly inputs: Readonly<Record<string, number>>;
}

/** Headroom of a square root: load of n independent requests varies by √n. */
const HEADROOM = 2;
const SMOOTHING_MS = 30_000;
/** Backlog is to be worked off within so long once units are there. */
const BACKLOG_MS = 30_000;
/** A pause in waiting that does not end a burst. */
const PAUSE_MS = 20_000;
const BURSTS_MAX = 32;
/** A measured latency above its target asks for so many more units at a time. */
const LATENCY_STEP = 0.1;
/** Above this the units are full and occupancy says nothing about how much more is wanted. */
const FULL = 0.95;
/** Between two observations at most, or they say nothing any more. */
export const SIGNAL_AGE_MS_MAX = 30_000;

interface Sample {
  readonly atMs: number;
  readonly value: number;
}

/**
 * The memory of one served model's scaling: half a minute of occupancy, the highest need within the patience on the way
 * down, and how long bursts last. It starts empty, so a restart costs no more than that patience.
 */
export class Scaling {
  readonly #occupancy: Sample[] = [];
  /** Falling values: the first is the highest need within the patience. */
  readonly #needs: Sample[] = [];
  readonly #bursts: number[] = [];
  #burst: { readonly sinceMs: number; lastMs: number } | null = null;
  #requestsPerUnit = 0;
  #startedAtMs: number | null = null;

  decide(now: ScalingObservation, bounds: ScalingBounds): ScalingDecision {
    this.#startedAtMs ??= now.atMs;
    const load = this.#smoothed(now);
    this.#watchBurst(now);
    const answersBacklog = this.#outlasts(now.atMs, bounds.startupMs);
    const waiting = answersBacklog ? this.#waitingUnits(now) : 0;
    const steady = headroom(load + waiting, bounds.coefficient);
    const late = lateness(now, bounds);
    const saturated = isSaturated(now);
    // Full units measure no more than themselves: a coefficient below 1 must not read that as too many.
    const floor = saturated ? now.readyUnits + now.startingUnits : 0;
    const have = now.readyUnits + now.startingUnits;
    const wakes = have === 0 && now.queued + now.refusedUs > 0;
    const need = Math.max(steady, floor, wakes ? 1 : 0) * (1 + (late ? LATENCY_STEP : 0));
    const held = this.#held(need, now.atMs, bounds.scaleInAfterMs);
    const wanted = Math.ceil(held - 1e-9);
    // Nothing is taken back before there was time to see what is needed.
    const settled = now.atMs - this.#startedAtMs >= Math.max(bounds.scaleInAfterMs, bounds.startupMs);
    const free = wanted < have && !settled ? have : wanted;
    const units = Math.min(bounds.unitsMax, Math.max(bounds.unitsMin, free));
    const inputs = { load, waiting, need, held, have, queued: now.queued, refusedUs: now.refusedUs };
    return { units, ...reasonOf({ units, free, wanted, waiting, late, wakes }, have, bounds, inputs), inputs };
  }

  #smoothed({ atMs, occupancy }: ScalingObservation): number {
    this.#occupancy.push({ atMs, value: occupancy });
    while (this.#occupancy[0]!.atMs <= atMs - SMOOTHING_MS) this.#occupancy.shift();
    return this.#occupancy.reduce((sum, sample) => sum + sample.value, 0) / this.#occupancy.length;
  }

  /** A burst lasts from the first request that waits or is refused to the last, pauses included. */
  #watchBurst(now: ScalingObservation): void {
    const presses = now.queued > 0 || now.refusedUs > 0;
    if (this.#burst !== null && now.atMs - this.#burst.lastMs > PAUSE_MS) {
      this.#bursts.push(this.#burst.lastMs - this.#burst.sinceMs);
      if (this.#bursts.length > BURSTS_MAX) this.#bursts.shift();
      this.#burst = null;
    }
    if (!presses) return;
    if (this.#burst === null) this.#burst = { sinceMs: now.atMs, lastMs: now.atMs };
    else this.#burst.lastMs = now.atMs;
  }

  /**
   * Whether the burst under way will likely still be there when a unit launched now is ready. Among the bursts seen that
   * lasted as long as this one did, most have to; without such bursts it is expected to last as long again as it has.
   */
  #outlasts(nowMs: number, startupMs: number): boolean {
    if (this.#burst === null) return false;
    const ageMs = nowMs - this.#burst.sinceMs;
    const older = this.#bursts.filter((lengthMs) => lengthMs >= ageMs);
    if (older.length === 0) return ageMs >= startupMs;
    return older.filter((lengthMs) => lengthMs >= ageMs + startupMs).length * 2 > older.length;
  }

  /** Units that what waits would fill, and those that work it off in time. */
  #waitingUnits(now: ScalingObservation): number {
    if (now.occupancy > 0.5 && now.running > 0) this.#requestsPerUnit = now.running / now.occupancy;
    const fills = this.#requestsPerUnit > 0 ? now.queued / this.#requestsPerUnit : 0;
    return fills + (now.queuedUs + now.refusedUs) / (1_000 * BACKLOG_MS);
  }

  /** The highest need within the patience. */
  #held(need: number, atMs: number, patienceMs: number): number {
    while (this.#needs.length > 0 && this.#needs.at(-1)!.value <= need) this.#needs.pop();
    this.#needs.push({ atMs, value: need });
    while (this.#needs[0]!.atMs < atMs - patienceMs) this.#needs.shift();
    return this.#needs[0]!.value;
  }
}

/** `k × load + β√load`, in units. */
export function headroom(load: number, coefficient: number): number {
  return coefficient * load + HEADROOM * Math.sqrt(load);
}

function isSaturated(now: ScalingObservation): boolean {
  const units = now.readyUnits + now.drainingUnits;
  return now.queued > 0 || now.refusedUs > 0 || (units > 0 && now.occupancy >= FULL * units);
}

function lateness({ ttftMsP95, tpotMsP95 }: ScalingObservation, { ttftMsMax, tpotMsMax }: ScalingBounds): boolean {
  const late = (measured: number | null, max: number | null) => measured !== null && max !== null && measured > max;
  return late(ttftMsP95, ttftMsMax) || late(tpotMsP95, tpotMsMax);
}

interface Choice {
  readonly units: number;
  /** Before bounds. */
  readonly free: number;
  /** Before the time that nothing is taken back. */
  readonly wanted: number;
  readonly waiting: number;
  readonly late: boolean;
  readonly wakes: boolean;
}

function reasonOf(
  { units, free, wanted, waiting, late, wakes }: Choice,
  have: number,
  bounds: ScalingBounds,
  { load, held }: { readonly load: number; readonly held: number },
): { cause: ScalingCause; sentence: string } {
  const need = `The load fills ${one(load)} units; with headroom ${one(held)} are needed`;
  if (units < free) {
    return {
      cause: 'bounds',
      sentence: `${need}, but ${bounds.unitsMax} is the most that rule, quota and machines allow.`,
    };
  }
  if (units > free) {
    return { cause: 'schedule', sentence: `${need}; the rule and its schedule hold ${bounds.unitsMin} at least.` };
  }
  if (units === have) {
    const soon = wanted < have ? ' Fewer would do, but it is too early to tell.' : '';
    return { cause: 'hold', sentence: `${need}: ${have} are there.${soon}` };
  }
  if (units < have) {
    return {
      cause: 'idle',
      sentence: `${need}, and no more were for ${Math.round(bounds.scaleInAfterMs / 1_000)} s: ${have - units} of ${have} are given back.`,
    };
  }
  if (wakes) return { cause: 'wake', sentence: 'Somebody asks and no unit is there: the first is started.' };
  if (waiting > 0) {
    return { cause: 'backlog', sentence: `${need}: ${one(waiting)} of them for requests that wait or were refused.` };
  }
  if (late) return { cause: 'latency', sentence: `${need}: measured latency is above its target.` };
  return { cause: 'need', sentence: `${need}; ${have} are there.` };
}

function one(value: number): string {
  return value.toFixed(1);
}
