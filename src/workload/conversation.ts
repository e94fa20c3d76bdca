import { type Arrivals, arrivalTimesMs } from './arrivals.ts';
import { childSeed, exponential, type Random, seededRandom } from './random.ts';

/** A multi-turn chat: every turn sends the whole history again, and begins `thinkMs` after the answer before it. */
export interface Conversation {
  /** When its first turn is sent. */
  readonly atMs: number;
  readonly turns: readonly Turn[];
}

export interface Turn {
  /** Tokens that the user adds; the history comes on top. */
  readonly userTokens: number;
  readonly outputTokens: number;
  readonly thinkMs: number;
}

export interface ConversationShape {
  /** Mean number of turns; geometric, at least 1, at most `turnsMax`. */
  readonly turnsMean: number;
  readonly turnsMax: number;
  readonly thinkMsMean: number;
  /** Draws the tokens of a user's message and of its answer. */
  readonly lengths: (random: Random) => { readonly promptTokens: number; readonly outputTokens: number };
}

/** Conversations that begin with the given arrivals, without end. Think times are exponential. */
export function* conversations(arrivals: Arrivals, shape: ConversationShape, seed: number): Generator<Conversation> {
  let index = 0;
  for (const atMs of arrivalTimesMs(arrivals, seededRandom(seed))) {
    const random = seededRandom(childSeed(seed, index));
    const turns = Array.from({ length: turnCount(shape, random) }, (_, turn) => {
      const { promptTokens, outputTokens } = shape.lengths(random);
      return {
        userTokens: promptTokens,
        outputTokens,
        thinkMs: turn === 0 ? 0 : shape.thinkMsMean * exponential(random),
      };
    });
    yield { atMs, turns };
    index += 1;
  }
}

function turnCount({ turnsMean, turnsMax }: ConversationShape, random: Random): number {
  if (turnsMean <= 1) return 1;
  const count = 1 + Math.floor(Math.log(1 - random()) / Math.log(1 - 1 / turnsMean));
  return Math.min(turnsMax, count);
}
