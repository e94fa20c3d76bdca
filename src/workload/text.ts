import { childSeed, type Random, seededRandom } from './random.ts';
import type { TraceRequest } from './trace.ts';

const WORDS = (
  'the of and to in is that for it as was with be by on not he this are or his from at which but have an they you were ' +
  'their one all we can her has there been if more when will would who so no out up into them then some could time these ' +
  'two may other than new people over first such any my work year made where system after most world day house water'
).split(' ');

/** Text of about `tokens` tokens: common English words are one token each in most vocabularies. */
export function textOfTokens(tokens: number, random: Random): string {
  const words: string[] = [];
  for (let index = 0; index < tokens; index += 1) words.push(WORDS[Math.floor(random() * WORDS.length)] as string);
  return words.join(' ');
}

/**
 * A prompt for a request: equal block ids give equal text, so that prefixes shared in the trace are shared in the
 * prompts; without blocks it is text of its own. `seed` decides the whole workload's text, `index` is the request's.
 */
export function promptOf(request: TraceRequest, blockTokens: number, seed: number, index: number): string {
  if (request.blocks === undefined) return textOfTokens(request.promptTokens, seededRandom(childSeed(seed, index)));
  const texts: string[] = [];
  let left = request.promptTokens;
  for (const id of request.blocks) {
    if (left <= 0) break;
    // Away from the seeds of whole prompts.
    texts.push(textOfTokens(Math.min(left, blockTokens), seededRandom(childSeed(~seed, id))));
    left -= blockTokens;
  }
  return texts.join(' ');
}
