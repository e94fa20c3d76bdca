import { describe, expect, it } from 'vitest';
import type { TimedReply } from '../bench/client.ts';
import { seededRandom } from '../workload/random.ts';
import { replyOf } from './fixture.ts';
import { learnLengths, probeOf, promptOf, type Send } from './probe.ts';

const answering = (...replies: Partial<TimedReply>[]): Send => {
  let turn = 0;
  return async () => replyOf(replies[Math.min(turn++, replies.length - 1)]!);
};
const ask = (send: Send) => probeOf(send, () => 0)({ prompt: 'a b', outputTokens: 8, salt: 's' });

describe('a probe', () => {
  it.each<[string, Partial<TimedReply>, string]>([
    ['no usage', { usage: 'missing', promptTokens: 0 }, 'carry no usage'],
    ['too few or too many output tokens', { usage: 'wrong' }, 'counts fewer output tokens'],
    ['whole answers', { streamed: false }, 'whole answers'],
    ['no prompt tokens', { promptTokens: 0 }, 'counts no prompt tokens'],
    ['half a token', { promptTokens: 3.5 }, 'prompt_tokens 3.5'],
    ['negative cached tokens', { cachedTokens: -1 }, 'cached_tokens -1'],
    ['more cached than there are', { promptTokens: 10, cachedTokens: 11 }, '11 cached tokens of 10'],
    ['no text at all', { ttftMs: null, outputTokens: 0 }, 'no text in 3 tries'],
    ['a bad key', { status: 401, error: 'invalid_api_key' }, '--api-key-env'],
    ['a wrong model', { status: 404, error: 'model_not_found' }, '--model'],
    ['a rate limit', { status: 429, error: 'rate_limited' }, '--sequences'],
    ['a stream that breaks', { error: 'stream_error' }, 'engine’s log'],
  ])('refuses %s', async (_name, reply, message) => {
    await expect(ask(answering(reply))).rejects.toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining(message),
    });
  });

  it('asks again for an answer without text', async () => {
    await expect(ask(answering({ ttftMs: null }, {}))).resolves.toMatchObject({ outputTokens: 4 });
  });

  it('stops asking for exact lengths once the server refuses that', async () => {
    const asked: unknown[] = [];
    const send: Send = async ({ extraBody }) => {
      asked.push(extraBody);
      return extraBody?.['ignore_eos'] ? replyOf({ status: 400, error: 'unsupported_feature' }) : replyOf({});
    };
    const probe = probeOf(send, () => 0);
    await probe({ prompt: 'a', outputTokens: 8, salt: 's' });
    await probe({ prompt: 'b', outputTokens: 8, salt: 's' });
    expect(asked).toEqual([{ ignore_eos: true }, {}, {}]);
  });

  it('takes off the time that a Cubit let the request wait', async () => {
    const reply = await ask(answering({ receipt: { wait_ms: 700 } }));
    expect(reply.sentAtMs).toBe(700);
  });
});

describe('lengths', () => {
  const counting =
    (tokens: (words: number) => number): Send =>
    async ({ prompt }) =>
      replyOf({ promptTokens: tokens(String(prompt).split(' ').length) });

  it('are learnt from the server’s counts', async () => {
    const probe = probeOf(
      counting((words) => 28 + 2 * words),
      () => 0,
    );
    const lengths = await learnLengths(probe, seededRandom(1));
    expect(lengths).toEqual({ fixedTokens: 28, tokensPerWord: 2 });
    expect(promptOf(128, lengths, seededRandom(1)).split(' ')).toHaveLength(50);
  });

  it.each<[string, (words: number) => number]>([
    ['the same for any text', () => 50],
    ['characters, not tokens', (words) => 40 * words],
    ['less for more', (words) => 1_000 - words],
  ])('that are a lie are refused: %s', async (_name, tokens) => {
    const probe = probeOf(counting(tokens), () => 0);
    await expect(learnLengths(probe, seededRandom(1))).rejects.toMatchObject({ code: 'engine_failed' });
  });
});
