import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { workOf } from '../core/serving/work.ts';
import { endpoint, fakePromptTokens, Harness, OTHER_KEY, replica, type Script, served, snapshot } from './fixture.ts';

const HI = [{ role: 'user' as const, content: 'Say hello.' }];

async function errorOf(promise: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const thrown = await promise.then(
    () => null,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(OpenAI.APIError);
  return thrown as InstanceType<typeof OpenAI.APIError>;
}

describe('answers through the official SDK', () => {
  it.each(['/v1', '/api/v3'])('chat, not streamed, with receipt in headers and usage.cubit (%s)', async (path) => {
    await using harness = await new Harness().start();
    const asked = harness.client(path).chat.completions.create({ model: 'demo', messages: HI });
    const { data, response } = await asked.withResponse();
    expect(data.choices[0]?.message.content).toBe('t0 t1 t2 t3 t4');
    const request = harness.engines.get('rep-1')!.requests[0]!;
    const promptTokens = fakePromptTokens(request);
    const actual = workOf(served().coefficients, { promptTokens, cachedTokens: 0, outputTokens: 5 });
    expect(data.usage).toMatchObject({
      prompt_tokens: promptTokens,
      cubit: {
        request_id: 'req-1',
        served_model: 'sm-1',
        replica: 'rep-1',
        actual: { prefill_us: actual.prefillUs, decode_us: actual.decodeUs },
        wait_ms: 0,
      },
    });
    expect(response.headers.get('x-request-id')).toBe('req-1');
    expect(response.headers.get('x-cubit-replica')).toBe('rep-1');
    expect(Number(response.headers.get('x-cubit-work-estimated-us'))).toBeGreaterThan(0);
    expect(Number(response.headers.get('x-cubit-work-actual-us'))).toBe(actual.prefillUs + actual.decodeUs);
    await harness.idle();
    expect(harness.receipts).toMatchObject([
      {
        requestId: 'req-1',
        tenantId: 't-1',
        keyId: 'key-1',
        endpointId: 'ep-1',
        outcome: 'completed',
        cause: 'stop',
        actual,
      },
    ]);
    expect(request).toMatchObject({ kind: 'chat', cacheSalt: 't-1', requestId: 'req-1' });
    expect(request.body).toEqual({ messages: HI });
  });

  it('streams chat without include_usage: content, then the finish chunk with the receipt, no chunk without a choice', async () => {
    await using harness = await new Harness().start();
    const stream = await harness.client().chat.completions.create({ model: 'demo', messages: HI, stream: true });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.every((chunk) => chunk.choices.length === 1)).toBe(true);
    expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe('t0 t1 t2 t3 t4 ');
    const last = chunks.at(-1)!;
    expect(last.choices[0]?.finish_reason).toBe('stop');
    expect(last.usage).toMatchObject({ completion_tokens: 5, cubit: { request_id: 'req-1', replica: 'rep-1' } });
    await harness.idle();
    expect(harness.receipts[0]).toMatchObject({ outcome: 'completed', cause: 'stop', outputTokens: 5 });
    expect(harness.receipts[0]?.ttftMs).toBeGreaterThanOrEqual(0);
    expect(harness.receipts[0]?.tpotMs).toBeGreaterThanOrEqual(0);
  });

  it('streams chat with include_usage: the receipt stands in the usage chunk; the SDK helper accumulates it', async () => {
    await using harness = await new Harness().start();
    const runner = harness.client().chat.completions.stream({
      model: 'demo',
      messages: HI,
      stream_options: { include_usage: true },
    });
    const usages: unknown[] = [];
    runner.on('chunk', (chunk) => chunk.choices.length === 0 && usages.push(chunk.usage));
    expect((await runner.finalChatCompletion()).choices[0]?.message.content).toBe('t0 t1 t2 t3 t4 ');
    expect(usages).toMatchObject([{ completion_tokens: 5, cubit: { served_model: 'sm-1' } }]);
  });

  it('completions, both ways', async () => {
    await using harness = await new Harness().start();
    const client = harness.client();
    const whole = await client.completions.create({ model: 'ep-1', prompt: 'Once', max_tokens: 3 });
    expect(whole.choices[0]?.text).toContain('t0');
    let text = '';
    for await (const chunk of await client.completions.create({ model: 'demo', prompt: 'Once', stream: true })) {
      text += chunk.choices[0]?.text;
    }
    expect(text).toBe('t0 t1 t2 t3 t4 ');
  });

  it('embeddings', async () => {
    await using harness = await new Harness().start();
    const answer = await harness
      .client('/api/v3')
      .embeddings.create({ model: 'demo', input: 'x', encoding_format: 'float' });
    expect(answer.data[0]?.embedding).toEqual([0.25, -0.5]);
    expect(answer.usage).toMatchObject({ cubit: { actual: { decode_us: 0 } } });
  });

  it('lists and finds the tenant’s own endpoints only', async () => {
    const other = endpoint({
      endpointId: 'ep-2',
      tenantId: 't-2',
      name: 'theirs',
      servedModels: [served({ servedModelId: 'sm-2' })],
    });
    await using harness = await new Harness().start(endpoint(), other);
    const client = harness.client();
    expect((await client.models.list()).data).toMatchObject([{ id: 'demo', created: 1_700_000_000 }]);
    expect(await client.models.retrieve('ep-1')).toMatchObject({ id: 'demo' });
    expect(await errorOf(client.models.retrieve('theirs'))).toMatchObject({ status: 404, code: 'model_not_found' });
    expect((await harness.client('/api/v3', OTHER_KEY).models.list()).data).toMatchObject([{ id: 'theirs' }]);
  });

  it('reserves at most max_tokens, and sends max_completion_tokens as max_tokens', async () => {
    await using harness = await new Harness().start();
    await harness.client().chat.completions.create({ model: 'demo', messages: HI, max_completion_tokens: 7 });
    expect(harness.engines.get('rep-1')!.requests[0]?.body).toEqual({ messages: HI, max_tokens: 7 });
    const { estimated } = harness.receipts[0]!;
    expect(estimated.decodeUs).toBeLessThan(8 * 6_000);
  });

  it('grows the reservation while a stream runs beyond its estimate', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ tokens: 600 });
    const stream = await harness.client().chat.completions.create({ model: 'demo', messages: HI, stream: true });
    for await (const _ of stream);
    await harness.idle();
    const [{ estimated, actual, outputTokens }] = harness.receipts as [(typeof harness.receipts)[0]];
    expect(outputTokens).toBe(600);
    expect(actual.decodeUs).toBeGreaterThan(estimated.decodeUs);
    const [stats] = harness.gateway.stats().servedModels;
    expect(stats!.settledUs).toBe(actual.prefillUs + actual.decodeUs);
    expect(stats!.reservedUs).toBe(stats!.settledUs + stats!.returnedUs);
    expect(stats!.reservedUs).toBeGreaterThan(stats!.settledUs);
  });
});

describe('who asks, and for what', () => {
  it('refuses without a known key, and takes api-key too', async () => {
    await using harness = await new Harness().start();
    const body = { model: 'demo', messages: HI };
    const bad = await errorOf(harness.client('/v1', 'sk-wrong').chat.completions.create(body));
    expect(bad).toMatchObject({ status: 401, code: 'invalid_api_key', type: 'authentication_error' });
    const none = await fetch(`${harness.url}/v1/chat/completions`, { method: 'POST', body: '{}' });
    expect(none.status).toBe(401);
    const azure = await fetch(`${harness.url}/v1/chat/completions?api-version=x`, {
      method: 'POST',
      headers: { 'api-key': 'sk-test-key' },
      body: JSON.stringify(body),
    });
    expect(azure.status).toBe(200);
    expect(harness.receipts).toHaveLength(1);
  });

  it('answers another tenant’s endpoint like one that does not exist', async () => {
    await using harness = await new Harness().start();
    const ask = (model: string) =>
      errorOf(harness.client('/v1', OTHER_KEY).chat.completions.create({ model, messages: HI }));
    const [theirs, none] = [await ask('demo'), await ask('nowhere')];
    expect(theirs).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' });
    expect(theirs.message.replace('demo', 'nowhere')).toBe(none.message);
    expect(harness.receipts[0]).toMatchObject({ outcome: 'rejected_identity', endpointId: null, tenantId: 't-2' });
  });

  it('leaves other paths alone, and answers wrong ones of its own', async () => {
    await using harness = await new Harness().start();
    expect(await (await fetch(`${harness.url}/healthz`)).text()).toBe('not the gateway');
    expect(await (await fetch(`${harness.url}/api/v1/endpoints`)).text()).toBe('not the gateway');
    expect((await fetch(`${harness.url}/v1/files`)).status).toBe(404);
    const wrong = await fetch(`${harness.url}/v1/chat/completions`);
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST']);
    expect((await fetch(`${harness.url}/v1/models/%E0%A4%A`, { headers: { 'api-key': 'sk-test-key' } })).status).toBe(
      400,
    );
  });

  it('splits traffic by percentage, exactly', async () => {
    const servedModels = [
      served({ trafficPercent: 70 }),
      served({ servedModelId: 'sm-2', trafficPercent: 30, replicas: [replica('rep-2')] }),
    ];
    await using harness = await new Harness().start(endpoint({ servedModels }));
    for (let i = 0; i < 20; i += 1) await harness.client().chat.completions.create({ model: 'demo', messages: HI });
    expect(harness.engines.get('rep-1')?.requests).toHaveLength(14);
    expect(harness.engines.get('rep-2')?.requests).toHaveLength(6);
  });

  it.each<[string, Script]>([
    ['an error event', { after: { tokens: 0, end: 'error' } }],
    ['garbage in a stream', { raw: ['data: {"choices":[{"secret internals\n\n'] }],
    ['garbage', { raw: ['secret internals'] }],
  ])('writes nothing of what an engine sent to logs: %s', async (what, script) => {
    await using harness = await new Harness().start();
    harness.script = () => script;
    const body = { model: 'demo', messages: HI, stream: what !== 'garbage' };
    expect((await harness.post('/v1/chat/completions', body)).status).toBe(502);
    await harness.idle();
    expect(harness.logs.join()).toContain('attempt failed');
    expect(harness.logs.map((line) => line.toLowerCase()).join()).not.toContain('secret');
  });

  it('writes neither prompts nor keys to logs, and one metric per outcome', async () => {
    await using harness = await new Harness().start();
    const messages = [{ role: 'user' as const, content: 'my-private-text' }];
    await harness.client().chat.completions.create({ model: 'demo', messages });
    harness.script = () => ({ refuse: 'engine_failed' });
    await errorOf(harness.client().chat.completions.create({ model: 'demo', messages }));
    await harness.idle();
    expect(harness.logs.join()).toContain('req-2');
    expect(harness.logs.join()).not.toMatch(/my-private-text|sk-test-key/);
    const metrics = await harness.registry.metrics();
    expect(metrics).toContain('cubit_requests_total{endpoint="ep-1",outcome="completed"} 1');
    expect(metrics).toContain('cubit_requests_total{endpoint="ep-1",outcome="failed"} 1');
    expect(metrics).toMatch(/cubit_work_settled_us_total\{endpoint="ep-1",served_model="sm-1"\} [1-9]/);
    expect(metrics).toContain('cubit_running{endpoint="ep-1",served_model="sm-1"} 0');
  });
});

describe('snapshots', () => {
  it('takes a revoked key, a deleted endpoint and a new replica at once, and ignores an older version', async () => {
    await using harness = await new Harness().start();
    const before = snapshot(endpoint());
    const ask = () => harness.client().chat.completions.create({ model: 'demo', messages: HI });
    await ask();
    harness.gateway.apply({ ...snapshot(endpoint()), keys: new Map() });
    expect(await errorOf(ask())).toMatchObject({ status: 401 });
    harness.gateway.apply(before);
    expect(await errorOf(ask())).toMatchObject({ status: 401 });
    harness.gateway.apply(snapshot(endpoint({ servedModels: [served({ replicas: [replica('rep-9')] })] })));
    await ask();
    expect(harness.engines.get('rep-9')?.requests).toHaveLength(1);
    expect(harness.engines.get('rep-1')?.closed).toBe(true);
    harness.gateway.apply(snapshot());
    expect(await errorOf(ask())).toMatchObject({ status: 404 });
    expect(harness.engines.get('rep-9')?.closed).toBe(true);
    expect(harness.gateway.stats().servedModels).toEqual([]);
    expect(await harness.registry.metrics()).not.toContain('ep-1');
  });
});
