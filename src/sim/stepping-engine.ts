import type { StepModel } from '../core/serving/work.ts';
import type { EndedSteps, EngineConfig } from './engine-types.ts';
import { Scheduler, type SequenceListener, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

interface InFlight {
  readonly plans: readonly (StepPlan | null)[];
  readonly ended: EndedSteps;
}

/** Steps that only decode, decided at once and played when something needs their result. */
interface Stretch {
  readonly startMs: number;
  readonly firstMs: number;
  readonly growthMs: number;
  readonly stepsMax: number;
  readonly count: number;
  readonly contextTokens: number;
}

export interface SteppingOptions {
  /** false: every step on its own, which the closed form of decode-only stretches is held to. */
  readonly closedForm: boolean;
  /** Told of every step that ends, in order of time. */
  readonly onSteps?: ((ended: EndedSteps) => void) | undefined;
  readonly listener?: SequenceListener | undefined;
}

/** Sums since the engine began, ms. */
export interface EngineUse {
  readonly busyMs: number;
  /** Time × sequences in the step. */
  readonly runningMs: number;
}

/**
 * An engine that is driven from outside: requests are put in as they come, `nextMs` says when it does something by
 * itself, `step` does it. A stretch of decode-only steps is decided at once and cut where a request comes, so it costs the
 * same however long it is.
 */
export class SteppingEngine {
  readonly #config: EngineConfig;
  readonly #options: SteppingOptions;
  readonly #depth: number;
  readonly #ranks: readonly Scheduler[];
  readonly #input: Sequence[] = [];
  readonly #models = new Map<number, StepModel>();
  #nowMs = 0;
  #inFlight: InFlight[] = [];
  #stretch: Stretch | null = null;
  /** When it looks at its input and decides next, where no step's end makes it. */
  #turnMs: number | null = null;
  #steps = 0;
  #busyMs = 0;
  #runningMs = 0;

  constructor(config: EngineConfig, options: SteppingOptions) {
    this.#config = config;
    this.#options = options;
    this.#depth = config.asyncScheduling ? 2 : 1;
    this.#ranks = Array.from({ length: config.ranks ?? 1 }, () => new Scheduler(config, options.listener));
  }

  get ranks(): readonly Scheduler[] {
    return this.#ranks;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Of all steps decided so far. */
  get use(): EngineUse {
    return { busyMs: this.#busyMs, runningMs: this.#runningMs };
  }

  /** Time × sequences in the step, with what a running stretch has done until `atMs`. */
  runningMsAt(atMs: number): number {
    if (this.#stretch === null) return this.#runningMs;
    const { count, startMs } = this.#stretch;
    return this.#runningMs + Math.max(0, atMs - startMs) * count;
  }

  /** When `step` is due; Infinity while it has nothing to do. */
  get nextMs(): number {
    if (this.#turnMs !== null) return this.#turnMs;
    const [oldest] = this.#inFlight;
    if (oldest !== undefined) return oldest.ended.endMs;
    if (this.#stretch === null) return Number.POSITIVE_INFINITY;
    return this.#stretch.startMs + elapsedMs(this.#stretch, this.#stretch.stepsMax - 1);
  }

  /** A request comes; no call of `step` that was due before `sequence.atMs` may be outstanding. */
  arrive(sequence: Sequence, atMs = sequence.atMs): void {
    this.#input.push(sequence);
    if (this.#stretch !== null) this.#cut(atMs);
    else if (this.#inFlight.length === 0) this.#turnMs ??= atMs;
  }

  /** Does what is due at `nextMs`. */
  step(): void {
    if (this.#turnMs !== null) {
      this.#nowMs = this.#turnMs;
      this.#turnMs = null;
      this.#turn();
    } else if (this.#inFlight.length > 0) {
      this.#finishOldest();
      // A stretch that follows it is decided already.
      if (this.#stretch === null) this.#turn();
    } else if (this.#stretch !== null) {
      this.#play(this.#stretch, this.#stretch.stepsMax);
      this.#turn();
    }
  }

  #turn(): void {
    for (const sequence of this.#input) {
      sequence.drainedMs = this.#nowMs;
      leastLoaded(this.#ranks).enqueue(sequence);
    }
    this.#input.length = 0;
    while (this.#inFlight.length < this.#depth) {
      if (this.#options.closedForm && this.#decideStretch()) return;
      if (!this.#decide()) return;
    }
  }

  #decide(): boolean {
    const plans = this.#ranks.map((rank) => rank.plan(this.#nowMs));
    let tokens = 0;
    let rankTokens = 0;
    let sequences = 0;
    for (const plan of plans) {
      if (plan === null) continue;
      const own = plan.prefillTokens + plan.decodes;
      tokens += own;
      rankTokens = Math.max(rankTokens, own);
      sequences += plan.sequences;
    }
    if (sequences === 0) return false;
    const model = this.#modelAt(tokens, rankTokens);
    // Ranks step together: the slowest sets the pace.
    let pace: StepPlan | null = null;
    let stepUs = 0;
    for (const plan of plans) {
      const us = plan === null ? 0 : this.#stepUs(model, plan);
      if (us <= stepUs) continue;
      stepUs = us;
      pace = plan;
    }
    const { attendedPairs, contextTokens, decodes, prefillTokens } = pace as StepPlan;
    this.#book(1, stepUs / 1000, sequences);
    this.#inFlight.push({
      plans,
      ended: {
        endMs: this.#freeAtMs() + stepUs / 1000,
        steps: 1,
        tokens,
        rankTokens,
        mixed: prefillTokens > 0,
        attendedPairs,
        decodes,
        contextTokens,
      },
    });
    return true;
  }

  /** When the accelerator will have done all that is decided. */
  #freeAtMs(): number {
    return this.#inFlight.at(-1)?.ended.endMs ?? this.#nowMs;
  }

  #book(steps: number, ms: number, sequences: number): void {
    this.#steps += steps;
    this.#busyMs += ms;
    this.#runningMs += ms * sequences;
  }

  #modelAt(tokens: number, rankTokens: number): StepModel {
    const { ranks = 1, step, stepAt, stepTokensMax } = this.#config;
    if (stepAt === undefined) return step;
    const key = tokens * (stepTokensMax + 1) + (ranks > 1 ? rankTokens : 0);
    let model = this.#models.get(key);
    if (model === undefined) {
      model = stepAt(tokens, rankTokens);
      this.#models.set(key, model);
    }
    return model;
  }

  #stepUs(model: StepModel, plan: StepPlan): number {
    const readUs = model.tau4Us + (plan.prefillTokens > 0 ? model.tau5Us : 0);
    return (
      model.tau0Us +
      model.tau1Us * plan.prefillTokens +
      model.tau2Us * plan.attendedPairs +
      model.tau3Us * plan.decodes +
      readUs * plan.contextTokens +
      this.#config.prefillFixedUs * plan.firstChunks
    );
  }

  /**
   * A stretch of decode-only steps: n steps of B sequences that read K context tokens in the first take
   * n·(τ0 + τ3·B + τ4·K) + τ4·B·n(n − 1)/2. It ends before the first decision that a new arrival could change.
   */
  #decideStretch(): boolean {
    const [rank] = this.#ranks;
    if (rank === undefined || this.#ranks.length > 1) return false;
    const stepsMax = rank.decodeStepsMax();
    if (stepsMax < 2) return false;
    const count = rank.running.length;
    const model = this.#modelAt(count, count);
    const contextTokens = rank.contextTokens();
    const firstMs = (model.tau0Us + model.tau3Us * count + model.tau4Us * contextTokens) / 1000;
    const growthMs = (model.tau4Us * count) / 1000;
    this.#stretch = { startMs: this.#freeAtMs(), firstMs, growthMs, stepsMax, count, contextTokens };
    return true;
  }

  /** A request has come at `atMs`: what was decided before stands. */
  #cut(atMs: number): void {
    const stretch = this.#stretch as Stretch;
    // Step j is decided at the end of step j − 1, or of j − 2 with async scheduling: when `ending` more steps have ended.
    const ending = stepsWithin(stretch, atMs - stretch.startMs);
    const steps = Math.max(1, Math.min(stretch.stepsMax, ending + this.#depth));
    if (steps > 1) {
      this.#play(stretch, steps);
      // With async scheduling the next step is decided when the last but one ends.
      if (this.#inFlight.length < this.#depth) this.#turnMs = this.#nowMs;
      return;
    }
    this.#stretch = null;
    this.#decide();
  }

  /** `steps` of the stretch happen: all but the last have ended then, and that is in flight. */
  #play(stretch: Stretch, steps: number): void {
    const [rank] = this.#ranks;
    this.#stretch = null;
    const { contextTokens, count, startMs } = stretch;
    const last = (rank as Scheduler).decodeOn(steps);
    this.#book(steps, elapsedMs(stretch, steps), count);
    this.#nowMs = startMs + elapsedMs(stretch, steps - 1);
    const each = { tokens: count, rankTokens: count, mixed: false, attendedPairs: 0 };
    const whole = steps - 1;
    this.#options.onSteps?.({
      ...each,
      endMs: this.#nowMs,
      steps: whole,
      decodes: whole * count,
      contextTokens: whole * contextTokens + (count * whole * (whole - 1)) / 2,
    });
    const endMs = startMs + elapsedMs(stretch, steps);
    this.#inFlight = [
      { plans: [last], ended: { ...each, endMs, steps: 1, decodes: count, contextTokens: last.contextTokens } },
    ];
  }

  #finishOldest(): void {
    const { ended, plans } = this.#inFlight.shift() as InFlight;
    this.#nowMs = ended.endMs;
    for (const [index, plan] of plans.entries()) {
      if (plan !== null) (this.#ranks[index] as Scheduler).complete(plan, ended.endMs);
    }
    this.#options.onSteps?.(ended);
  }
}

/** vLLM routes a request to the rank with the least of 4 × waiting + running. */
function leastLoaded(ranks: readonly Scheduler[]): Scheduler {
  let best = ranks[0] as Scheduler;
  if (ranks.length === 1) return best;
  for (const rank of ranks) if (loadOf(rank) < loadOf(best)) best = rank;
  return best;
}

function loadOf({ running, waitingCount }: Scheduler): number {
  return 4 * waitingCount + running.length;
}

function elapsedMs({ firstMs, growthMs }: Stretch, steps: number): number {
  return steps * firstMs + (growthMs * steps * (steps - 1)) / 2;
}

/** Most steps that end before `withinMs` has passed (−1: not even none); each is `growthMs` longer than the one before. */
function stepsWithin(stretch: Stretch, withinMs: number): number {
  const { firstMs, growthMs, stepsMax } = stretch;
  if (withinMs <= 0) return -1;
  if (elapsedMs(stretch, stepsMax) < withinMs) return stepsMax;
  // (g/2)·n² + (f − g/2)·n = t, solved without cancellation; rounding is mended below.
  const linear = firstMs - growthMs / 2;
  let steps = Math.floor((2 * withinMs) / (linear + Math.sqrt(linear * linear + 2 * growthMs * withinMs)));
  while (steps > 0 && elapsedMs(stretch, steps) >= withinMs) steps -= 1;
  while (elapsedMs(stretch, steps + 1) < withinMs) steps += 1;
  return steps;
}
