import { describe, expect, it } from 'vitest';
import { endpoint, Harness, served } from './fixture.ts';

const CHAT = '/v1/chat/completions';
const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] };
/** One microsecond a token, so that work reads as tokens. */
const PLAIN = { p0Us: 0, p1Us: 1, p2Us: 0, d1Us: 1, d2Us: 0 };

async function estimateOf(harness: Harness, body: object): Promise<unknown> {
  const answer = await harness.post(CHAT, body, { 'x-cubit-dry-run': 'true' });
  return ((await answer.json()) as { estimatedUs: unknown }).estimatedUs;
}

describe('estimate', () => {
  it('counts the chat template of a first short prompt', async () => {
    await using harness = await new Harness().start(
      endpoint({ servedModels: [served({ coefficients: PLAIN, chatTemplateTokens: 25 })] }),
    );
    expect(await estimateOf(harness, BODY)).toEqual({ prefillUs: 30, decodeUs: 256 });
  });

  it('learns from whole answers, never from the request itself', async () => {
    await using harness = await new Harness().start(endpoint({ servedModels: [served({ coefficients: PLAIN })] }));
    harness.script = () => ({ tokens: 4 });
    for (let i = 0; i < 40; i += 1) await harness.post(CHAT, BODY);
    expect(await estimateOf(harness, BODY)).toMatchObject({ decodeUs: 4 });
  });

  it('takes an answer that max_tokens cut off for a longer one', async () => {
    await using harness = await new Harness().start(endpoint({ servedModels: [served({ coefficients: PLAIN })] }));
    harness.script = () => ({ tokens: 4 });
    for (let i = 0; i < 40; i += 1) await harness.post(CHAT, { ...BODY, max_tokens: 4 });
    const { decodeUs } = (await estimateOf(harness, BODY)) as { decodeUs: number };
    expect(decodeUs).toBeGreaterThan(200);
  });
});
