import { expect, test } from 'vitest';
import { endpoint, Harness, replica, served, snapshot } from './fixture.ts';

const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 2 };
const split = (old: number) =>
  endpoint({
    servedModels: [
      served({ servedModelId: 'sm-old', trafficPercent: old, batchPerUnit: 64, replicas: [replica('rep-old')] }),
      served({ servedModelId: 'sm-new', trafficPercent: 100 - old, batchPerUnit: 64, replicas: [replica('rep-new')] }),
    ],
  });

test('a conversation stays with one served model, by header or metadata, and moves only to the one that grows', async () => {
  await using h = await new Harness().start(split(50));
  const placeOf = async (session: string, asMetadata = false) => {
    const reply = await (asMetadata
      ? h.post('/v1/chat/completions', { ...ASK, metadata: { conversation: session } })
      : h.post('/v1/chat/completions', ASK, { 'x-cubit-session': session }));
    await reply.text();
    return reply.headers.get('x-cubit-served-model');
  };
  const sessions = Array.from({ length: 24 }, (_, i) => `s${i}`);
  const before = await Promise.all(sessions.map((one) => placeOf(one)));
  expect(new Set(before)).toEqual(new Set(['sm-old', 'sm-new']));
  expect(await Promise.all(sessions.map((one) => placeOf(one, true)))).toEqual(before);
  h.gateway.apply(snapshot(split(25)));
  const after = await Promise.all(sessions.map((one) => placeOf(one)));
  for (const [i, place] of before.entries()) if (place === 'sm-new') expect(after[i]).toBe('sm-new');
});

test('a change of traffic drops no stream', async () => {
  await using h = await new Harness().start(split(100));
  h.script = () => ({ tokens: 20, chunkMs: 5 });
  const stream = await h.client().chat.completions.create({ ...ASK, stream: true });
  h.gateway.apply(snapshot(split(0)));
  let tokens = 0;
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content) tokens += 1;
  expect(tokens).toBe(20);
  const reply = await h.post('/v1/chat/completions', ASK);
  expect(reply.headers.get('x-cubit-served-model')).toBe('sm-new');
});

test.each([
  [{}, { 'x-cubit-session': '' }],
  [{}, { 'x-cubit-session': 'x'.repeat(257) }],
  [{ metadata: { conversation: 7 } }, {}],
])('a session that is none is refused', async (body, headers) => {
  await using h = await new Harness().start(split(50));
  expect((await h.post('/v1/chat/completions', { ...ASK, ...body }, headers)).status).toBe(400);
});
