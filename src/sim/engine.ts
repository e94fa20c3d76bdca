import { CubitError } from '../core/errors.ts';
import type { StepModel } from '../core/serving/work.ts';
import { Scheduler, type SchedulerLimits, type StepPlan } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

/**
 * One engine of vLLM's kind, step by step: when each request is noticed, scheduled, preempted and answered. Pure and
 * deterministic; what it leaves out is in docs/simulator.md.
 */
export interface EngineConfig extends SchedulerLimits {
  readonly step: StepModel;
  /** The model of a step with so many tokens (all ranks together), where experts make it bend; instead of `step`. */
  readonly stepAt?: (tokens: number) => StepModel;
  /** Paid in the step that carries a request's first chunk. */
  readonly prefillFixedUs: number;
  /** Tokens that fit in the KV cache of a rank. */
  readonly kvTokens: number;
  /** The step after next is decided when a step ends, so that the accelerator never waits for the decision. */
  readonly asyncScheduling: boolean;
  /** Data-parallel copies with a queue and a cache of their own each, that step together; 1 unless said. */
  readonly ranks?: number;
}

export interface EngineRequest {
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Prompt tokens that are found in the cache, where no `blocks` say which. */
  readonly cachedTokens?: number;
  /** Hashes of the prompt's blocks of `blockTokens` tokens: non-negative whole numbers, equal for equal prefixes. */
  readonly blocks?: readonly number[];
}

/** Times since the request's arrival. */
export interface SimulatedRequest {
  /** Until the engine took it from its input: it looks there between steps only. */
  readonly drainedMs: number;
  /** Until a step with its first chunk was decided. */
  readonly queuedMs: number;
  readonly ttftMs: number;
  /** (end − first token) ÷ (output tokens − 1); null with one token. */
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  readonly cachedTokens: number;
}

export interface EngineResult {
  /** In the order of the input. */
  readonly requests: readonly SimulatedRequest[];
  readonly steps: number;
  readonly preemptions: number;
  /** Sequences in a step, averaged over the time in which the engine computes. */
  readonly meanRunning: number;
  /** Most tokens' worth of KV blocks in use at once, of one rank. */
  readonly kvTokensMax: number;
  readonly busyMs: number;
  readonly endMs: number;
}

/** Throws `invalid_request` on a configuration or request that no engine could run, naming it. */
export function simulateEngine(config: EngineConfig, requests: readonly EngineRequest[]): EngineResult {
  return new Engine(config, requests).run(true);
}

/** The same, every step on its own: what the closed form of decode-only stretches is held to. */
export function simulateEngineStepwise(config: EngineConfig, requests: readonly EngineRequest[]): EngineResult {
  return new Engine(config, requests).run(false);
}

interface InFlight {
  readonly plans: readonly (StepPlan | null)[];
  readonly endMs: number;
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
  #modelTokens = -1;
  #model: StepModel;

  constructor(config: EngineConfig, requests: readonly EngineRequest[]) {
    checkConfig(config);
    this.#config = config;
    this.#model = config.step;
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
    let sequences = 0;
    for (const plan of plans) {
      tokens += plan === null ? 0 : plan.prefillTokens + plan.decodes;
      sequences += plan?.sequences ?? 0;
    }
    if (sequences === 0) return false;
    const model = this.#modelAt(tokens);
    // Ranks step together: the slowest sets the pace.
    const stepMs = Math.max(...plans.map((plan) => (plan === null ? 0 : this.#stepUs(model, plan) / 1000)));
    this.#book(1, stepMs, sequences);
    this.#inFlight.push({ plans, endMs: this.#freeAtMs() + stepMs });
    return true;
  }

  /** When the accelerator will have done all that is decided. */
  #freeAtMs(): number {
    return this.#inFlight.at(-1)?.endMs ?? this.#nowMs;
  }

  #book(steps: number, ms: number, sequences: number): void {
    this.#steps += steps;
    this.#busyMs += ms;
    this.#runningMs += ms * sequences;
  }

  #modelAt(tokens: number): StepModel {
    if (this.#config.stepAt !== undefined && tokens !== this.#modelTokens) {
      this.#model = this.#config.stepAt(tokens);
      this.#modelTokens = tokens;
    }
    return this.#model;
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
    const model = this.#modelAt(count);
    const firstMs = (model.tau0Us + model.tau3Us * count + model.tau4Us * rank.contextTokens()) / 1000;
    const growthMs = (model.tau4Us * count) / 1000;
    const elapsedMs = (steps: number) => steps * firstMs + (growthMs * steps * (steps - 1)) / 2;
    const startMs = this.#freeAtMs();
    const untilMs = this.#arrivals[this.#arrived]?.atMs ?? Number.POSITIVE_INFINITY;
    // Step j is decided at the end of step j − 1, or of j − 2 with async scheduling: when `whole` more steps have ended.
    const whole = stepsWithin(untilMs - startMs, firstMs, growthMs, stepsMax, elapsedMs);
    const steps = Math.min(stepsMax, whole + (this.#config.asyncScheduling ? 2 : 1));
    if (steps < 2) return false;
    for (const flying of this.#inFlight) rank.complete(flying.plans[0] as StepPlan, flying.endMs);
    const last = rank.decodeOn(steps);
    this.#book(steps, elapsedMs(steps), count);
    this.#nowMs = startMs + elapsedMs(steps - 1);
    this.#inFlight = [{ plans: [last], endMs: startMs + elapsedMs(steps) }];
    return true;
  }

  #finishOldest(): void {
    const { endMs, plans } = this.#inFlight.shift() as InFlight;
    this.#nowMs = endMs;
    for (const [index, plan] of plans.entries())
      if (plan !== null) (this.#ranks[index] as Scheduler).complete(plan, endMs);
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

function sequenceOf(config: EngineConfig, request: EngineRequest, index: number): Sequence {
  const { atMs, blocks, cachedTokens = 0, outputTokens, promptTokens } = request;
  if (!Number.isFinite(atMs)) invalid(`Request ${index} has no arrival time.`);
  if (!(Number.isInteger(promptTokens) && promptTokens > 0 && Number.isInteger(outputTokens) && outputTokens > 0)) {
    invalid(`Request ${index} has ${promptTokens} prompt and ${outputTokens} output tokens; both must be 1 or more.`);
  }
  if (!(cachedTokens >= 0)) invalid(`Request ${index} has ${cachedTokens} cached tokens; 0 or more can be.`);
  const cacheBlocks = Math.floor(config.kvTokens / config.blockTokens);
  // The last output token is never read, so it takes no place.
  if (Math.ceil((promptTokens + outputTokens - 1) / config.blockTokens) > cacheBlocks) {
    invalid(`Request ${index} needs ${promptTokens + outputTokens} tokens of KV cache; there are ${config.kvTokens}.`);
  }
  return {
    index,
    atMs,
    promptTokens,
    outputTokens,
    // Only whole blocks can be found again; a trace may hash the last, partly filled one too.
    hashes: blocks?.slice(0, Math.floor(promptTokens / config.blockTokens)),
    cachedTokensGiven: cachedTokens,
    computed: 0,
    length: promptTokens,
    emitted: 0,
    blocks: [],
    findable: 0,
    running: false,
    preempted: false,
    cachedTokens: 0,
    drainedMs: Number.NaN,
    scheduledMs: Number.NaN,
    firstTokenMs: Number.NaN,
    lastTokenMs: Number.NaN,
  };
}

function checkConfig(config: EngineConfig): void {
  const { blockTokens, kvTokens, prefillFixedUs, ranks = 1, sequencesMax, step, stepTokensMax } = config;
  for (const [name, value] of Object.entries({ blockTokens, kvTokens, ranks, sequencesMax, stepTokensMax })) {
    if (!(Number.isInteger(value) && value > 0))
      invalid(`${name} is ${value}; it must be a whole number of 1 or more.`);
  }
  for (const [name, value] of Object.entries({ ...step, prefillFixedUs })) {
    if (!(Number.isFinite(value) && value >= 0)) invalid(`${name} is ${value}; it must be a number of 0 or more.`);
  }
  if (!(step.tau0Us + step.tau3Us > 0)) invalid('A decode step must take time: tau0Us or tau3Us must be above 0.');
}

function invalid(message: string): never {
  throw new CubitError('invalid_request', message);
}
