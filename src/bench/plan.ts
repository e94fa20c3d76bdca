import { type Arrivals, arrivalTimesMs } from '../workload/arrivals.ts';
import type { Conversation } from '../workload/conversation.ts';
import { childSeed, type Random, seededRandom } from '../workload/random.ts';
import { promptOf, textOfTokens } from '../workload/text.ts';
import type { Trace } from '../workload/trace.ts';

/** One request of a plan, its prompt ready to send. */
export interface Shot {
  /** Since the run began; ignored by a closed loop. */
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly prompt: string;
}

/**
 * What a run sends. open: at given times, whatever the answers do. closed: a new request when one ends. conversations:
 * they begin at given times, and each goes on after its answers.
 */
export type Plan =
  | { readonly kind: 'open'; readonly shots: Iterable<Shot> }
  | { readonly kind: 'closed'; readonly concurrency: number; readonly shots: Iterable<Shot> }
  | { readonly kind: 'conversations'; readonly conversations: Iterable<Conversation>; readonly seed: number };

/** Lengths of generated requests: fixed, or spread evenly over mean ± spread × mean. */
export interface Lengths {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** 0 = all the same. */
  readonly spread: number;
  /** The first tokens of every prompt, the same in all: what a prefix cache can serve. */
  readonly sharedTokens: number;
}

/** Draws a request's lengths, each at least 1 token. */
export function drawLengths(lengths: Lengths, random: Random): { promptTokens: number; outputTokens: number } {
  const draw = (mean: number) => Math.max(1, Math.round(mean * (1 + lengths.spread * (2 * random() - 1))));
  return { promptTokens: draw(lengths.promptTokens), outputTokens: draw(lengths.outputTokens) };
}

/** Requests at the times of `arrivals`, without end. */
export function* generatedShots(arrivals: Arrivals, lengths: Lengths, seed: number): Generator<Shot> {
  const shared = textOfTokens(lengths.sharedTokens, seededRandom(~seed));
  let index = 0;
  for (const atMs of arrivalTimesMs(arrivals, seededRandom(seed))) {
    const random = seededRandom(childSeed(seed, index));
    const { promptTokens, outputTokens } = drawLengths(lengths, random);
    const own = textOfTokens(Math.max(1, promptTokens - lengths.sharedTokens), random);
    yield { atMs, promptTokens, outputTokens, prompt: shared === '' ? own : `${shared} ${own}` };
    index += 1;
  }
}

/** A trace's requests at their times; one that asks for no output asks for one token. */
export function* traceShots(trace: Trace, seed: number): Generator<Shot> {
  for (const [index, row] of trace.requests.entries()) {
    yield {
      atMs: row.atMs,
      promptTokens: row.promptTokens,
      outputTokens: Math.max(1, row.outputTokens),
      prompt: promptOf(row, trace.blockTokens, seed, index),
    };
  }
}
