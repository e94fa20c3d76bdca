import type { StepModel } from './work.ts';

/**
 * What a unit's latencies will be with one more request, so that admission can keep its promise before it is broken. A
 * prediction from the step model and what is outstanding; what it leaves out, the bucket and measured latencies correct.
 */
export interface LatencyGuard {
  readonly step: StepModel;
  /** Prompt tokens of one step at most. */
  readonly stepTokensMax: number;
  /** Promised: TTFT ≤ this + factor × the request's own prefill. */
  readonly ttftMsMax: number;
  readonly ttftPrefillFactor: number;
  /** Mean time per token. */
  readonly tpotMsMax: number;
  /** How many times as long everything takes as on the profiled machine, at least 1 (1 unless said). */
  readonly slowness?: number;
}

/** Of all ready units together. */
export interface Outstanding {
  readonly readyUnits: number;
  readonly running: number;
  /** Context that a step of all that run likely reads. */
  readonly contextTokens: number;
  /** Prefill of requests that have no first token yet. */
  readonly prefillAheadUs: number;
  /** Prefill that was let in per time, of all units: 1 = one unit prefills all the time. */
  readonly prefillLoad: number;
}

/** A step that only decodes what is running, ms. */
function decodeStepMs({ step }: LatencyGuard, { contextTokens, readyUnits, running }: Outstanding): number {
  return (step.tau0Us + step.tau3Us * (running / readyUnits) + step.tau4Us * (contextTokens / readyUnits)) / 1000;
}

/**
 * (prefill ahead + own) × (1 + decode step ÷ prefill step): prefill goes in steps of `stepTokensMax` tokens, each of which
 * also decodes. Ahead is the mean over units; routing sees to it that they are alike.
 */
export function predictedTtftMs(guard: LatencyGuard, outstanding: Outstanding, prefillUs: number): number {
  const chunkMs = (guard.step.tau1Us * guard.stepTokensMax) / 1000;
  const slower = chunkMs > 0 ? 1 + decodeStepMs(guard, outstanding) / chunkMs : 1;
  return ((outstanding.prefillAheadUs / outstanding.readyUnits + prefillUs) / 1000) * slower;
}

/**
 * Decode step + (N + z·√N)·prefill step ÷ m for an answer of m tokens: while it decodes, N prefill steps come between, by
 * the prefill that is being let in. A short answer meets few of them, so its mean varies much: z standard deviations.
 */
export function predictedTpotMs(guard: LatencyGuard, outstanding: Outstanding, outputTokens: number): number {
  const share = Math.min(MOST_PREFILL, outstanding.prefillLoad / outstanding.readyUnits);
  const stepMs = decodeStepMs(guard, outstanding);
  const chunkMs = (guard.step.tau1Us * guard.stepTokensMax) / 1000;
  if (chunkMs === 0) return stepMs;
  const between = (share / (1 - share)) * ((outputTokens * stepMs) / chunkMs);
  return stepMs + ((between + TPOT_DEVIATIONS * Math.sqrt(between)) * chunkMs) / outputTokens;
}

const MOST_PREFILL = 0.99;
const TPOT_DEVIATIONS = 2;
/** Estimates are of the longer answers; most are shorter by this. Short ones are hurt most. */
const TYPICAL_SHARE = 1 / 4;
/** Of its own prefill that a request may go beyond the target: it would be in time itself, those behind it would not. */
const OWN_PREFILL_FACTOR = 0.5;

export type Breach = 'ttft' | 'tpot';

/** Which promise one more request would break, its own or that of those behind it; null: none. */
export function breachOf(
  guard: LatencyGuard,
  outstanding: Outstanding,
  prefillUs: number,
  outputTokens: number,
  hasWaited = false,
): Breach | null {
  const factor = Math.min(OWN_PREFILL_FACTOR, guard.ttftPrefillFactor);
  // With nothing ahead of it, a long prompt that has waited would not be sooner for waiting more.
  const helps = outstanding.prefillAheadUs > 0 || !hasWaited;
  if (helps && predictedTtftMs(guard, outstanding, prefillUs) > guard.ttftMsMax + (factor * prefillUs) / 1000)
    return 'ttft';
  const typicalTokens = Math.max(1, outputTokens * TYPICAL_SHARE);
  return predictedTpotMs(guard, outstanding, typicalTokens) > guard.tpotMsMax ? 'tpot' : null;
}
