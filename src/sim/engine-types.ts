import type { StepModel } from '../core/serving/work.ts';
import type { SchedulerLimits } from './scheduler.ts';

/** What a simulated engine is given and gives. */

export interface EngineConfig extends SchedulerLimits {
  readonly step: StepModel;
  /** The model of a step with so many tokens on all ranks and on the busiest, where rooflines bend; instead of `step`. */
  readonly stepAt?: (tokens: number, rankTokens: number) => StepModel;
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

/** What a step, or a stretch of decode-only steps, held: sums over them, of the rank that set the pace. */
export interface EndedSteps {
  readonly endMs: number;
  readonly steps: number;
  /** Of each of the steps. */
  readonly tokens: number;
  readonly rankTokens: number;
  readonly mixed: boolean;
  readonly attendedPairs: number;
  readonly decodes: number;
  readonly contextTokens: number;
}
