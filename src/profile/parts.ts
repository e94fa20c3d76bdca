import type { StepObservation } from '../core/serving/fit.ts';
import type { ProbeReply } from './probe.ts';

/** A sequence that decodes meanwhile. */
export interface Running {
  readonly contextTokens: number;
}

/** The time between two tokens while these sequences decode: one step. */
export function nextTokenParts(cell: string, running: readonly Running[], stepUs: number): StepObservation {
  return {
    cell,
    requests: 0,
    steps: 1,
    prefillTokens: 0,
    attendedPairs: 0,
    decodeTokens: running.length,
    contextTokens: contextOf(running),
    mixedContextTokens: 0,
    us: stepUs,
  };
}

/**
 * The time to a first token: the prompt's chunks, one a step, with those that decode beside it in each; a prompt that
 * arrives while others decode waits for half a step on average before its first chunk.
 */
export function firstTokenParts(
  cell: string,
  reply: Pick<ProbeReply, 'promptTokens' | 'cachedTokens' | 'sentAtMs' | 'textAtMs'>,
  prefillTokensMax: number,
  running: readonly Running[],
): StepObservation {
  const { promptTokens: n, textAtMs, sentAtMs } = reply;
  // The last prompt token is always evaluated: its result is the first output token.
  const h = Math.min(reply.cachedTokens, n - 1);
  const chunks = Math.ceil((n - h) / prefillTokensMax);
  const waited = running.length > 0 ? 0.5 : 0;
  const context = contextOf(running);
  return {
    cell,
    requests: 1,
    steps: chunks + waited,
    prefillTokens: n - h,
    attendedPairs: (n * (n + 1) - h * (h + 1)) / 2,
    decodeTokens: (chunks + waited) * running.length,
    contextTokens: (chunks + waited) * context,
    mixedContextTokens: chunks * context,
    us: 1000 * (textAtMs[0]! - sentAtMs),
  };
}

function contextOf(running: readonly Running[]): number {
  return running.reduce((sum, { contextTokens }) => sum + contextTokens, 0);
}
