import { expect, test } from 'vitest';
import { endpoint, Harness, until } from './fixture.ts';

const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 8 };
const BEAT = { 'x-cubit-heartbeat-ms': '500' };

test('the official SDK reads a stream whose first token came after heartbeats', async () => {
  await using h = await new Harness().start();
  h.script = () => ({ tokens: 3, firstMs: 1_300 });
  const { data, response } = await h
    .client()
    .chat.completions.create({ ...ASK, stream: true }, { headers: BEAT })
    .withResponse();
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  // The head came with the first beat: the engine has sent nothing yet.
  expect(h.engines.get('rep-1')?.sent).toBe(0);
  let text = '';
  for await (const chunk of data) text += chunk.choices[0]?.delta.content ?? '';
  expect(text).toBe('t0 t1 t2 ');
  await until(() => h.receipts.length === 1);
  expect(h.receipts[0]).toMatchObject({ outcome: 'completed', outputTokens: 3 });
});

test('while it waits in line the comments say how many wait; a refusal then is an error event', async () => {
  await using h = await new Harness().start(endpoint({ maxWaitMs: 0 }));
  h.script = () => ({ hang: true });
  const fills = Array.from({ length: 4 }, () => h.post('/v1/chat/completions', ASK).catch(() => undefined));
  await until(() => h.gateway.stats().servedModels[0]?.running === 4);
  const reply = await h.post(
    '/v1/chat/completions',
    { ...ASK, stream: true },
    { ...BEAT, 'x-cubit-max-wait-ms': '1200' },
  );
  expect(reply.status).toBe(200);
  const text = await reply.text();
  expect(text).toMatch(/^: cubit waiting for=place queued=1/);
  const [, event] = text.split('data: ');
  expect(JSON.parse(event ?? '')).toMatchObject({ error: { code: 'model_units_exhausted' } });
  expect(h.receipts[0]).toMatchObject({ outcome: 'expired' });
  await h.gateway.drain(0);
  await Promise.all(fills);
});

test('an engine that hangs ends as failed, not as interrupted, when only heartbeats were sent', async () => {
  await using h = await new Harness({ firstTokenMsMax: 700 }).start();
  h.script = () => ({ hang: true });
  const reply = await h.post('/v1/chat/completions', { ...ASK, stream: true }, BEAT);
  expect(await reply.text()).toContain('engine_timeout');
  expect(h.receipts[0]).toMatchObject({ outcome: 'failed', cause: 'engine_timeout' });
});

test.each(['0', '499', '60001', 'x', '1e3', ''])('a heartbeat of %j ms is refused', async (ms) => {
  await using h = await new Harness().start();
  const reply = await h.post('/v1/chat/completions', { ...ASK, stream: true }, { 'x-cubit-heartbeat-ms': ms });
  expect(reply.status).toBe(400);
});

test('an answer that is no stream has no place for heartbeats', async () => {
  await using h = await new Harness().start();
  expect((await h.post('/v1/chat/completions', ASK, BEAT)).status).toBe(400);
});
