import type { Socket } from 'node:net';
import { chunk, DONE, document, HEAD_SSE, LAST_CHUNK, token, usage } from '../../gateway/wire.ts';
import type { Random } from '../../workload/random.ts';
import { below, mutatedBytes, ODD, oneOf } from './mutate.ts';

/** Answers as an engine would; one in three is mutated, in its fields or in its bytes, and may never end. */
export function fuzzedAnswer(socket: Socket, request: string, random: Random): void {
  const kind = below(random, 9);
  const parts = /"stream":true/.test(request)
    ? streamOf(random, kind === 0)
    : [Buffer.from(wholeOf(random, kind === 0))];
  const at = kind < 3 ? below(random, parts.length) : -1;
  if (kind === 1) parts[at] = mutatedBytes(parts[at] as Buffer, random);
  if (kind === 2) parts.length = at + 1;
  const end = kind < 3 ? oneOf(random, ['hold', 'end', 'reset'] as const) : 'keep';
  const pauseMs = below(random, 4) === 0 ? below(random, 15) : 0;
  writeAll(socket, parts, pauseMs, () => {
    if (end === 'end') socket.end();
    if (end === 'reset') socket.resetAndDestroy();
  });
}

function writeAll(socket: Socket, parts: readonly Buffer[], pauseMs: number, then: () => void): void {
  const [first, ...rest] = pauseMs === 0 ? [Buffer.concat(parts)] : parts;
  if (first !== undefined && !socket.destroyed) socket.write(first);
  if (rest.length === 0 || socket.destroyed) then();
  else setTimeout(() => writeAll(socket, rest, pauseMs, then), pauseMs);
}

function streamOf(random: Random, odd: boolean): Buffer[] {
  const tokens = oneOf(random, [1, 3, 10, 40, 400]);
  const frames = Array.from({ length: tokens }, () => token(oneOf(random, ['a', 'é', '漢', 'x'.repeat(200)])));
  frames.push(token('', 'stop'));
  if (below(random, 3) > 0) frames.push(usage(usageOf(random, tokens, odd)));
  if (odd)
    frames.splice(
      below(random, frames.length),
      1,
      `data: ${JSON.stringify({ choices: oneOf(random, ODD), error: oneOf(random, ODD) })}\n\n`,
    );
  frames.push(DONE);
  return [Buffer.from(HEAD_SSE), ...frames.map((frame) => chunk(frame)), Buffer.from(LAST_CHUNK)];
}

function wholeOf(random: Random, odd: boolean): string {
  const choice = { index: 0, message: { role: 'assistant', content: 'a b' }, text: 'a b', finish_reason: 'stop' };
  const answer: Record<string, unknown> = {
    id: 'c',
    choices: [choice],
    data: [{ index: 0, embedding: [1] }],
    usage: usageOf(random, 2, odd),
  };
  if (odd) answer[oneOf(random, ['choices', 'usage', 'data', 'id'])] = oneOf(random, ODD);
  if (odd && below(random, 3) === 0) {
    const status = oneOf(random, [204, 301, 400, 404, 418, 429, 500, 502, 503, 504]);
    return document(answer).replace('200 OK', `${status} Odd`);
  }
  return document(answer);
}

const usageOf = (random: Random, tokens: number, odd: boolean) =>
  odd
    ? {
        prompt_tokens: oneOf(random, ODD),
        completion_tokens: oneOf(random, ODD),
        prompt_tokens_details: oneOf(random, ODD),
      }
    : { prompt_tokens: 9, completion_tokens: tokens };
