import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { endpoint, Harness, pause, replica, served, snapshot, until } from './fixture.ts';
import { EMPTY_SNAPSHOT } from './snapshot.ts';

const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] };
const CHAT = '/v1/chat/completions';

/** One place; each request takes 150 ms in it. */
function narrow(overrides: Parameters<typeof endpoint>[0] = {}): ReturnType<typeof endpoint> {
  return endpoint({ servedModels: [served({ batchPerUnit: 1 })], ...overrides });
}

async function busy(first = narrow()): Promise<Harness> {
  const harness = await new Harness().start(first);
  harness.script = () => ({ firstMs: 150 });
  return harness;
}

describe('429', () => {
  it('explains itself: work, level, capacity, wait, who uses it; with both retry-after headers', async () => {
    await using harness = await busy();
    const first = harness.post(CHAT, BODY);
    await until(() => harness.engines.get('rep-1')?.running === 1);
    const answer = await harness.post(CHAT, BODY);
    expect(answer.status).toBe(429);
    const { error } = (await answer.json()) as { error: { details: Record<string, unknown> } };
    expect(error).toMatchObject({
      type: 'rate_limit_error',
      code: 'model_units_exhausted',
      param: null,
      details: {
        servedModel: 'sm-1',
        because: 'batch',
        running: 1,
        queued: 0,
        readyUnits: 1,
        capacityUs: 30_000_000,
        usedBy: [{ keyId: 'key-1', running: 1 }],
      },
    });
    expect(error.details['levelUs']).toBeGreaterThan(0);
    const waitMs = error.details['predictedWaitMs'] as number;
    expect(waitMs).toBeGreaterThan(0);
    expect(answer.headers.get('retry-after-ms')).toBe(String(waitMs));
    expect(answer.headers.get('retry-after')).toBe(String(Math.ceil(waitMs / 1_000)));
    expect((await first).status).toBe(200);
    expect(harness.receipts.map((receipt) => receipt.outcome)).toEqual(['rejected_capacity', 'completed']);
  });

  it('comes from the bucket when the units have sold their burst, with the real drain time', async () => {
    const dear = served({ batchPerUnit: 100, coefficients: { p0Us: 20e6, p1Us: 0, p2Us: 0, d1Us: 0, d2Us: 0 } });
    await using harness = await new Harness().start(endpoint({ servedModels: [dear] }));
    expect((await harness.post(CHAT, BODY)).status).toBe(200);
    const answer = await harness.post(CHAT, BODY);
    const { error } = (await answer.json()) as { error: { details: Record<string, number | string> } };
    expect(error.details['because']).toBe('bucket');
    // 20 s of work is in, 20 s more do not fit into 30 s for another 10 s.
    expect(error.details['predictedWaitMs']).toBeGreaterThan(9_000);
    expect(error.details['predictedWaitMs']).toBeLessThanOrEqual(10_000);
    expect(answer.headers.get('retry-after')).toBe('10');
  });

  it('says it when the queue is full', async () => {
    await using harness = new Harness({ queue: { count: 1, workUs: 1e12, bytes: 1e9, ageMs: 60_000 } });
    await harness.start(narrow({ maxWaitMs: 5_000 }));
    harness.script = () => ({ firstMs: 100 });
    const answers = await Promise.all([1, 2, 3].map(() => harness.post(CHAT, BODY)));
    expect(answers.map((answer) => answer.status).toSorted()).toEqual([200, 200, 429]);
    const refused = answers.find((answer) => answer.status === 429) as Response;
    expect(await refused.text()).toContain('queue of this endpoint is full');
  });
});

describe('waiting', () => {
  it('queues up to the endpoint’s wait and says how long it waited', async () => {
    await using harness = await busy(narrow({ maxWaitMs: 5_000 }));
    const answers = await Promise.all([1, 2, 3].map(() => harness.post(CHAT, BODY)));
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    const waits = answers.map((answer) => Number(answer.headers.get('x-cubit-wait-ms')));
    expect(waits.filter((ms) => ms >= 100)).toHaveLength(2);
    expect(harness.engines.get('rep-1')?.runningMax).toBe(1);
  });

  it('lets the earliest deadline in first, and ends those whose time is over', async () => {
    await using harness = await busy(narrow({ maxWaitMs: 5_000 }));
    const order: string[] = [];
    const ask = (name: string, waitMs: number) =>
      harness.post(CHAT, BODY, { 'x-cubit-max-wait-ms': String(waitMs) }).then((answer) => {
        order.push(`${name} ${answer.status}`);
      });
    const running = ask('running', 0);
    await until(() => harness.engines.get('rep-1')?.running === 1);
    await Promise.all([running, ask('patient', 4_000), ask('urgent', 1_000), ask('hopeless', 30)]);
    expect(order).toEqual(['hopeless 429', 'running 200', 'urgent 200', 'patient 200']);
    expect(harness.receipts.map((receipt) => receipt.outcome)).toContain('expired');
  });

  it('frees the place of a client that leaves the queue', async () => {
    await using harness = await busy(narrow({ maxWaitMs: 5_000 }));
    // Long enough for the other to come, on a machine that is busy too.
    harness.script = () => ({ firstMs: 1_000 });
    const running = harness.post(CHAT, BODY);
    await until(() => harness.engines.get('rep-1')?.running === 1);
    const leaver = new AbortController();
    const leaving = harness.client().chat.completions.create(BODY as never, { signal: leaver.signal });
    const refused = expect(leaving).rejects.toThrow(OpenAI.APIUserAbortError);
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
    leaver.abort();
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 0);
    await refused;
    await running;
    await harness.idle();
    expect(harness.engines.get('rep-1')?.requests).toHaveLength(1);
    expect(harness.receipts.find((receipt) => receipt.outcome === 'cancelled')?.actual).toEqual({
      prefillUs: 0,
      decodeUs: 0,
    });
  });

  it.each(['-1', '1.5', 'soon', '', '600001'])('refuses a wait of %j', async (value) => {
    await using harness = await new Harness().start();
    const answer = await harness.post(CHAT, BODY, { 'x-cubit-max-wait-ms': value });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { param: 'x-cubit-max-wait-ms' } });
  });
});

describe('dry run', () => {
  const ask = async (harness: Harness, headers = {}) => {
    const answer = await harness.post(CHAT, BODY, { 'x-cubit-dry-run': 'true', ...headers });
    expect(answer.status).toBe(200);
    return (await answer.json()) as Record<string, unknown>;
  };

  it('says admit, wait or reject, and costs nothing', async () => {
    await using harness = await busy();
    expect(await ask(harness)).toMatchObject({ would: 'admit', levelUs: 0, predictedWaitMs: 0, because: null });
    expect(harness.gateway.stats().servedModels[0]).toMatchObject({ reservedUs: 0, levelUs: 0, running: 0 });
    expect(harness.engines.size).toBe(0);
    const running = harness.post(CHAT, BODY);
    await until(() => harness.engines.get('rep-1')?.running === 1);
    expect(await ask(harness)).toMatchObject({ would: 'reject', because: 'batch', running: 1 });
    expect(await ask(harness, { 'x-cubit-max-wait-ms': '1000' })).toMatchObject({ would: 'wait' });
    await running;
    expect(harness.receipts.filter((receipt) => receipt.outcome === 'dry_run')).toHaveLength(3);
  });

  it('refuses a flag that is none', async () => {
    await using harness = await new Harness().start();
    expect((await harness.post(CHAT, BODY, { 'x-cubit-dry-run': '1' })).status).toBe(400);
  });
});

describe('no unit is ready', () => {
  const starting = (etaMs: number) =>
    served({
      startupMs: 60_000,
      replicas: [replica('rep-1', { state: 'starting', address: null, startedAtMs: Date.now() - 60_000 + etaMs })],
    });

  it('503 with an ETA', async () => {
    await using harness = await new Harness().start(endpoint({ servedModels: [starting(20_000)] }));
    const answer = await harness.post(CHAT, BODY);
    expect(answer.status).toBe(503);
    const { error } = (await answer.json()) as { error: { details: { etaMs: number } } };
    expect(error).toMatchObject({ code: 'endpoint_scaling_up', type: 'server_error' });
    expect(error.details.etaMs).toBeGreaterThan(18_000);
    expect(error.details.etaMs).toBeLessThanOrEqual(20_000);
    expect(Number(answer.headers.get('retry-after'))).toBe(Math.ceil(error.details.etaMs / 1_000));
    expect(harness.receipts[0]?.outcome).toBe('rejected_unready');
  });

  it('says so when no unit was bought, or no model is served', async () => {
    await using harness = await new Harness().start(
      endpoint({ servedModels: [served({ unitsMax: 0, replicas: [] })] }),
    );
    const answer = await harness.post(CHAT, BODY);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      error: {
        code: 'endpoint_scaling_up',
        message: expect.stringContaining('no model units'),
        details: { etaMs: null },
      },
    });
    harness.gateway.apply(snapshot(endpoint({ servedModels: [] })));
    expect(await (await harness.post(CHAT, BODY)).text()).toContain('serves no model');
  });

  it('waits for the unit when it is expected in time, and enters once it is ready', async () => {
    await using harness = await new Harness().start(endpoint({ maxWaitMs: 10_000, servedModels: [starting(1_500)] }));
    const waiting = harness.post(CHAT, BODY);
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
    harness.gateway.apply(snapshot(endpoint({ maxWaitMs: 10_000 })));
    expect((await waiting).status).toBe(200);
  });
});

describe('drain', () => {
  it('refuses new and waiting requests, lets streams finish, and cuts them at the limit', async () => {
    await using harness = await new Harness().start(narrow({ maxWaitMs: 5_000 }));
    harness.script = () => ({ tokens: 20, chunkMs: 10 });
    const stream = await harness.post(CHAT, { ...BODY, stream: true });
    const waiting = harness.post(CHAT, BODY);
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
    const drained = harness.gateway.drain(5_000);
    expect((await waiting).status).toBe(503);
    const refused = await harness.post(CHAT, BODY);
    expect(await refused.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await stream.text()).toMatch(/\[DONE\]\n\n$/);
    await drained;
    expect(harness.gateway.stats().active).toBe(0);
  });

  it('ends a stream that outlasts the drain with an error event', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ tokens: 10_000, chunkMs: 10 });
    const stream = await harness.post(CHAT, { ...BODY, stream: true });
    const text = stream.text();
    await harness.gateway.drain(50);
    expect(await text).toMatch(/data: \{"error":\{[^\n]*"code":"shutting_down"[^\n]*\n\n$/);
    await harness.idle();
    expect(harness.receipts[0]).toMatchObject({ outcome: 'interrupted', cause: 'shutting_down' });
  });

  it('ends those that wait when their endpoint goes', async () => {
    await using harness = await busy(narrow({ maxWaitMs: 5_000 }));
    const running = harness.post(CHAT, BODY);
    await until(() => harness.engines.get('rep-1')?.running === 1);
    const waiting = harness.post(CHAT, BODY);
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
    harness.gateway.apply({ ...EMPTY_SNAPSHOT, version: snapshot().version });
    expect((await waiting).status).toBe(503);
    expect((await running).status).toBe(200);
    await pause(10);
    expect(harness.engines.get('rep-1')?.closed).toBe(true);
  });
});
