import { describe, expect, it } from 'vitest';
import type { Engine, EngineRequest } from '../port.ts';
import { SELF_CHECK, selfCheckMs, timeScaleOf } from './self-check.ts';

async function* nothing(): AsyncGenerator<Uint8Array> {}

/** An engine whose answers take these times, on a clock that it moves. */
function engineTaking(...tookMs: (number | Error)[]) {
  const asked: EngineRequest[] = [];
  let nowMs = 0;
  const engine = {
    send: async (request: EngineRequest) => {
      const took = tookMs[asked.push(request) - 1] ?? 0;
      if (took instanceof Error) throw took;
      nowMs += took;
      return { stream: false, bytes: nothing() };
    },
  } as unknown as Engine;
  return { engine, asked, nowMs: () => nowMs };
}

describe('the self-check', () => {
  it('is the least of three, each of a prompt that is not in the cache', async () => {
    const { asked, engine, nowMs } = engineTaking(310, 290, 400, 5);
    expect(await selfCheckMs(engine, SELF_CHECK, nowMs)).toBe(290);
    await selfCheckMs(engine, SELF_CHECK, nowMs);
    expect(new Set(asked.map(({ cacheSalt }) => cacheSalt)).size).toBe(asked.length);
    expect(asked.length).toBe(6);
    expect(asked[0]!.body).toMatchObject({ max_tokens: SELF_CHECK.outputTokens, ignore_eos: true });
    expect(asked[0]!.body['prompt']).toHaveLength(SELF_CHECK.promptTokens);
  });

  it('takes one answer where the second fails, and null where the first does', async () => {
    const lost = new Error('gone');
    const second = engineTaking(310, lost);
    expect(await selfCheckMs(second.engine, SELF_CHECK, second.nowMs)).toBe(310);
    expect(await selfCheckMs(engineTaking(lost).engine, SELF_CHECK)).toBeNull();
  });

  it('is a factor on the profile’s time, and never beyond 4 either way', () => {
    const profiled = { us: 400_000 };
    expect([600, 400, 50, 9_000].map((ms) => timeScaleOf(ms, profiled))).toEqual([1.5, 1, 0.25, 4]);
  });
});
