import type { StepModel } from '../core/serving/work.ts';
import { checkConfig, sequenceOf } from './engine-input.ts';
import type { EndedSteps, EngineConfig, EngineRequest, EngineResult, SimulatedRequest } from './engine-types.ts';
import { Scheduler, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

export type { EndedSteps, EngineConfig, EngineRequest, EngineResult, SimulatedRequest } from './engine-types.ts';

/**
 * One engine of vLLM's kind, step by step: when each request is noticed, scheduled, preempted and answered. Pure and
 * deterministic; what it leaves out is in docs/simulator.md. Throws `invalid_request` on a configuration or request that
 * no engine could run, naming it.
 */
export function simulateEngine(
  config: EngineConfig,
  requests: readonly EngineRequest[],
  /** Told of every step that ends, in order of time. */
  onSteps?: (ended: EndedSteps) => void,
): EngineResult {
  return new Engine(config, requests, onSteps).run(true);
}

/** The same, every step on its own: what the closed form of decode-only stretches is held to. */
export function simulateEngineStepwise(config: EngineConfig, requests: readonly EngineRequest[]): EngineResult {
  return new Engine(config, requests).run(false);
}

interface InFlight {
  readonly plans: readonly (StepPlan | null)[];
  readonly ended: EndedSteps;
}

class Engine {
  readonly #config: EngineConfig;
  readonly #ranks: readonly Scheduler[];
  readonly #sequences: readonly Sequence[];
  readonly #arrivals: readonly Sequence[];
  #arrived = 0;
  #nowMs = 0;
  #inFlight: InFlight[] = [];
  #steps = 0;
  #busyMs = 0;
  #runningMs = 0;
  readonly #models = new Map<number, StepModel>();
  readonly #onSteps: ((ended: EndedSteps) => void) | undefined;

  constructor(config: EngineConfig, requests: readonly EngineRequest[], onSteps?: (ended: EndedSteps) => void) {
    checkConfig(config);
    this.#config = config;
    this.#onSteps = onSteps;
    this.#ranks = Array.from({ length: config.ranks ?? 1 }, () => new Scheduler(config));
    this.#sequences = requests.map((request, index) => sequenceOf(config, request, index));
    this.#arrivals = this.#sequences.toSorted((a, b) => a.atMs - b.atMs || a.index - b.index);
  }

  run(closedForm: boolean): EngineResult {
    const depth = this.#config.asyncScheduling ? 2 : 1;
    for (;;) {
      this.#drain();
      const decided = (closedForm && this.#decodeOn()) || this.#decide();
      if (decided && this.#inFlight.length < depth) continue;
      if (this.#inFlight.length > 0) this.#finishOldest();
      else if (!this.#awaitArrival()) break;
    }
    return this.#result();
  }

  /** vLLM routes a request to the rank with the least of 4 × waiting + running. */
  #drain(): void {
    for (; this.#arrived < this.#arrivals.length; this.#arrived += 1) {
      const sequence = this.#arrivals[this.#arrived] as Sequence;
      if (sequence.atMs > this.#nowMs) return;
      sequence.drainedMs = this.#nowMs;
      leastLoaded(this.#ranks).enqueue(sequence);
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
   * A stretch of decode-only steps at once: n steps of B sequences that read K context tokens in the first take
   * n·(τ0 + τ3·B + τ4·K) + τ4·B·n(n − 1)/2. It ends before the first decision that a new arrival could change.
   */
  #decodeOn(): boolean {
    const [rank] = this.#ranks;
    if (rank === undefined || this.#ranks.length > 1) return false;
    const stepsMax = rank.decodeStepsMax();
    if (stepsMax < 2) return false;
    const count = rank.running.length;
    const model = this.#modelAt(count, count);
    const contextTokens = rank.contextTokens();
    const firstMs = (model.tau0Us + model.tau3Us * count + model.tau4Us * contextTokens) / 1000;
    const growthMs = (model.tau4Us * count) / 1000;
    const elapsedMs = (steps: number) => steps * firstMs + (growthMs * steps * (steps - 1)) / 2;
    const startMs = this.#freeAtMs();
    const untilMs = this.#arrivals[this.#arrived]?.atMs ?? Number.POSITIVE_INFINITY;
    // Step j is decided at the end of step j − 1, or of j − 2 with async scheduling: when `ending` more steps have ended.
    const ending = stepsWithin(untilMs - startMs, firstMs, growthMs, stepsMax, elapsedMs);
    const steps = Math.min(stepsMax, ending + (this.#config.asyncScheduling ? 2 : 1));
    if (steps < 2) return false;
    while (this.#inFlight.length > 0) this.#finishOldest();
    const last = rank.decodeOn(steps);
    this.#book(steps, elapsedMs(steps), count);
    this.#nowMs = startMs + elapsedMs(steps - 1);
    const each = { tokens: count, rankTokens: count, mixed: false, attendedPairs: 0 };
    const whole = steps - 1;
    this.#onSteps?.({
      ...each,
      endMs: this.#nowMs,
      steps: whole,
      decodes: whole * count,
      contextTokens: whole * contextTokens + (count * whole * (whole - 1)) / 2,
    });
    const endMs = startMs + elapsedMs(steps);
    this.#inFlight = [
      { plans: [last], ended: { ...each, endMs, steps: 1, decodes: count, contextTokens: last.contextTokens } },
    ];
    return true;
  }

  #finishOldest(): void {
    const { ended, plans } = this.#inFlight.shift() as InFlight;
    this.#nowMs = ended.endMs;
    for (const [index, plan] of plans.entries()) {
      if (plan !== null) (this.#ranks[index] as Scheduler).complete(plan, ended.endMs);
    }
    this.#onSteps?.(ended);
  }

  #awaitArrival(): boolean {
    const next = this.#arrivals[this.#arrived];
    if (next === undefined) return false;
    this.#nowMs = next.atMs;
    return true;
  }

  #result(): EngineResult {
    for (const { kvBlocksInUse, running, waitingCount } of this.#ranks) {
      if (kvBlocksInUse + running.length + waitingCount === 0) continue;
      throw new Error(
        `simulation ended with ${kvBlocksInUse} blocks, ${running.length} running, ${waitingCount} waiting`,
      );
    }
    const { blockTokens } = this.#config;
    return {
      requests: this.#sequences.map(simulatedOf),
      steps: this.#steps,
      preemptions: this.#ranks.reduce((sum, rank) => sum + rank.preemptions, 0),
      meanRunning: this.#busyMs > 0 ? this.#runningMs / this.#busyMs : 0,
      kvTokensMax: Math.max(...this.#ranks.map((rank) => rank.kvBlocksMax)) * blockTokens,
      busyMs: this.#busyMs,
      endMs: this.#nowMs,
    };
  }
}

function leastLoaded(ranks: readonly Scheduler[]): Scheduler {
  let best = ranks[0] as Scheduler;
  if (ranks.length === 1) return best;
  for (const rank of ranks) if (loadOf(rank) < loadOf(best)) best = rank;
  return best;
}

function loadOf({ running, waitingCount }: Scheduler): number {
  return 4 * waitingCount + running.length;
}

/** Most steps that end before `withinMs` has passed (−1: not even none); each is `growthMs` longer than the one before. */
function stepsWithin(
  withinMs: number,
  firstMs: number,
  growthMs: number,
  stepsMax: number,
  elapsedMs: (steps: number) => number,
): number {
  if (withinMs <= 0) return -1;
  if (elapsedMs(stepsMax) < withinMs) return stepsMax;
  // (g/2)·n² + (f − g/2)·n = t, solved without cancellation; rounding is mended below.
  const linear = firstMs - growthMs / 2;
  let steps = Math.floor((2 * withinMs) / (linear + Math.sqrt(linear * linear + 2 * growthMs * withinMs)));
  while (steps > 0 && elapsedMs(steps) >= withinMs) steps -= 1;
  while (elapsedMs(steps + 1) < withinMs) steps += 1;
  return steps;
}

function simulatedOf(sequence: Sequence): SimulatedRequest {
  const { atMs, cachedTokens, drainedMs, firstTokenMs, index, lastTokenMs, outputTokens, scheduledMs } = sequence;
  if (!(lastTokenMs >= firstTokenMs)) throw new Error(`request ${index} did not end`);
  return {
    drainedMs: drainedMs - atMs,
    queuedMs: scheduledMs - atMs,
    ttftMs: firstTokenMs - atMs,
    tpotMs: outputTokens === 1 ? null : (lastTokenMs - firstTokenMs) / (outputTokens - 1),
    e2eMs: lastTokenMs - atMs,
    cachedTokens,
  };
}
