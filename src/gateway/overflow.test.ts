import { expect, test } from 'vitest';
import { endpoint, Harness, KEY, pause, replica, served, snapshot, until } from './fixture.ts';
import { type OverflowSnapshot, type SpillPrice, upstreamKey } from './overflow-snapshot.ts';
import { type EndpointSnapshot, endpointKey, type GatewaySnapshot } from './snapshot.ts';
import type { LeaseBudget } from './spill-budget.ts';

const PRICE: SpillPrice = { inputMicros: 1_000_000, cachedMicros: 100_000, outputMicros: 4_000_000 };
const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 8 };

/** `demo` has one unit that takes one sequence and spills to `spare`, then to an upstream. */
const spare = () =>
  endpoint({
    endpointId: 'ep-2',
    name: 'spare',
    servedModels: [served({ servedModelId: 'sm-2', replicas: [replica('rep-2')] })],
  });
const upstream = (overrides: Partial<EndpointSnapshot> = {}) =>
  endpoint({
    endpointId: 'up-1',
    name: 'paid',
    upstream: { outputTokensMax: 16 },
    servedModels: [served({ servedModelId: 'up-1', replicas: [replica('rep-up')] })],
    ...overrides,
  });
const spillsTo = (overrides: Partial<OverflowSnapshot> = {}): OverflowSnapshot => ({
  policy: 'spill',
  allowed: ['spill', 'queue', 'reject'],
  queueWaitMs: 5_000,
  spillAfterMs: 0,
  reasons: ['no_capacity', 'not_ready', 'context_too_long'],
  targets: [
    { targetId: 'ep-2', endpointKey: endpointKey('t-1', 'ep-2'), price: null },
    { targetId: 'up-1', endpointKey: upstreamKey('up-1'), price: PRICE },
  ],
  budgetMicros: 1_000_000,
  ...overrides,
});
const demo = (overflow: OverflowSnapshot, overrides: Parameters<typeof served>[0] = {}) =>
  endpoint({ overflow, servedModels: [served({ batchPerUnit: 1, ...overrides })] });

class Purse implements LeaseBudget {
  leftMicros: number;
  calls = 0;
  fails = false;
  constructor(micros: number) {
    this.leftMicros = micros;
  }
  async lease(_endpointId: string, micros: number) {
    this.calls += 1;
    await pause(1);
    if (this.fails) throw new Error('the store is gone');
    const granted = this.leftMicros < micros ? 0 : micros;
    this.leftMicros -= granted;
    return { micros: granted, periodStartMs: 0, periodEndMs: Number.MAX_SAFE_INTEGER };
  }
  async giveBack(_endpointId: string, _periodStartMs: number, micros: number) {
    this.leftMicros += micros;
  }
}

async function harness(purse: Purse | null, own: EndpointSnapshot, ...others: EndpointSnapshot[]) {
  const h = await new Harness({}, purse === null ? {} : { budgets: purse }).start(own, ...others);
  h.gateway.apply(withUpstream(snapshot(own, ...others)));
  return h;
}

function withUpstream(plain: GatewaySnapshot, one = upstream()): GatewaySnapshot {
  return { ...plain, endpoints: new Map([...plain.endpoints, [upstreamKey('up-1'), one]]) };
}

/** Fills the only place of `demo`. */
async function occupied(h: Harness): Promise<AbortController> {
  h.script = ({ body }) => (JSON.stringify(body).includes('long') ? { tokens: 400, chunkMs: 20 } : { tokens: 3 });
  const leaving = new AbortController();
  const body = { ...ASK, messages: [{ role: 'user', content: 'long' }], max_tokens: 400, stream: true };
  void fetch(`${h.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}` },
    body: JSON.stringify(body),
    signal: leaving.signal,
  })
    .then((reply) => reply.text())
    .catch(() => undefined);
  await until(() => h.gateway.stats().servedModels.some((one) => one.servedModelId === 'sm-1' && one.running === 1));
  return leaving;
}

test('a request without a place is served by the first target, which headers, usage and receipt name', async () => {
  await using h = await harness(new Purse(0), demo(spillsTo()), spare());
  const leaving = await occupied(h);
  const reply = await h.post('/v1/chat/completions', ASK);
  expect(reply.status).toBe(200);
  expect(reply.headers.get('x-cubit-spilled')).toBe('ep-2');
  expect(reply.headers.get('x-cubit-spill-reason')).toBe('no_capacity');
  expect(await reply.json()).toMatchObject({ usage: { cubit: { spill: { target: 'ep-2', reason: 'no_capacity' } } } });
  expect(h.receipts[0]).toMatchObject({
    ...{ endpointId: 'ep-2', servedModelId: 'sm-2', replicaId: 'rep-2', outcome: 'completed' },
    spill: { fromEndpointId: 'ep-1', targetId: 'ep-2', reason: 'no_capacity', costMicros: 0 },
  });
  const own = h.gateway.stats().servedModels.find((one) => one.servedModelId === 'sm-1');
  expect(own).toMatchObject({ refused: 1, running: 1 });
  const metrics = await h.registry.metrics();
  expect(metrics).toContain('cubit_requests_spilled_total{endpoint="ep-1",reason="no_capacity"} 1');
  leaving.abort();
});

test('streams spill, also to somebody else’s server, and cost the tokens that its usage states', async () => {
  const purse = new Purse(1_000_000);
  const h = await harness(purse, demo(spillsTo()));
  const leaving = await occupied(h);
  const stream = await h.client().chat.completions.create({ ...ASK, stream: true });
  let text = '';
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
  expect(text).toBe('t0 t1 t2 ');
  await until(() => h.receipts.length === 1);
  const [receipt] = h.receipts;
  expect(receipt).toMatchObject({ endpointId: 'ep-1', servedModelId: null, spill: { targetId: 'up-1' } });
  const cost = receipt!.promptTokens * 1 + 3 * 4;
  expect(receipt?.spill?.costMicros).toBe(cost);
  leaving.abort();
  await h[Symbol.asyncDispose]();
  expect(purse.leftMicros).toBe(1_000_000 - cost);
});

test('an upstream is asked for a bounded answer, cannot be named by clients and is in no list', async () => {
  await using h = await harness(new Purse(1_000_000), demo(spillsTo()));
  await occupied(h);
  const { max_tokens: _, ...open } = ASK;
  expect((await h.post('/v1/chat/completions', open)).headers.get('x-cubit-spilled')).toBe('up-1');
  expect(h.engines.get('rep-up')?.requests[0]?.body['max_tokens']).toBe(16);
  for (const model of ['up-1', 'upstream:up-1', 'paid']) {
    expect((await h.post('/v1/chat/completions', { ...ASK, model })).status).toBe(404);
  }
  const listed = await fetch(`${h.url}/v1/models`, { headers: { authorization: `Bearer ${KEY}` } });
  expect(((await listed.json()) as { data: { id: string }[] }).data.map(({ id }) => id)).toEqual(['demo']);
});

test('the budget stops hard: side by side no more is spent than there is, then the endpoint’s own 429 says why', async () => {
  // Each holds 69 at most and costs about 25: 40 of them are more than there is.
  const purse = new Purse(400);
  const h = await harness(purse, demo(spillsTo()));
  await occupied(h);
  const replies = await Promise.all(Array.from({ length: 40 }, () => h.post('/v1/chat/completions', ASK)));
  const spilled = replies.filter(({ status }) => status === 200).length;
  expect(spilled).toBeGreaterThan(0);
  expect(spilled).toBeLessThan(40);
  const refused = replies.find(({ status }) => status === 429);
  expect(refused?.headers.get('x-cubit-spilled')).toBeNull();
  expect(await refused?.json()).toMatchObject({
    error: {
      code: 'model_units_exhausted',
      details: {
        spill: [
          { target: 'ep-2', because: 'gone' },
          { target: 'up-1', because: 'budget_used_up' },
        ],
      },
    },
  });
  const spent = h.receipts.reduce((sum, { spill }) => sum + (spill?.costMicros ?? 0), 0);
  await h[Symbol.asyncDispose]();
  expect(purse.leftMicros).toBe(400 - spent);
  expect(purse.leftMicros).toBeGreaterThanOrEqual(0);
});

test.each([
  ['a budget of 0', new Purse(0), 'budget_used_up'],
  ['a store that is gone', Object.assign(new Purse(1e9), { fails: true }), 'budget_unknown'],
  ['a gateway without budgets', null, 'budget_used_up'],
])('%s sends nothing to what costs money', async (_name, purse, because) => {
  await using h = await harness(purse, demo(spillsTo()));
  await occupied(h);
  const reply = await h.post('/v1/chat/completions', ASK);
  expect(reply.status).toBe(429);
  expect(await reply.json()).toMatchObject({ error: { details: { spill: [{}, { because }] } } });
  expect(h.engines.has('rep-up')).toBe(false);
  expect(h.receipts[0]).toMatchObject({ outcome: 'rejected_capacity', servedModelId: 'sm-1', spill: null });
});

test('a request spills once: a target that would spill itself refuses', async () => {
  const back = spillsTo({ targets: [{ targetId: 'ep-1', endpointKey: endpointKey('t-1', 'ep-1'), price: null }] });
  const full = {
    ...spare(),
    overflow: back,
    servedModels: [served({ servedModelId: 'sm-2', replicas: [], unitsMax: 0 })],
  };
  const own = demo(spillsTo({ targets: [{ targetId: 'ep-2', endpointKey: endpointKey('t-1', 'ep-2'), price: null }] }));
  await using h = await harness(null, own, full);
  await occupied(h);
  const reply = await h.post('/v1/chat/completions', ASK);
  expect(reply.status).toBe(429);
  expect(await reply.json()).toMatchObject({
    error: { details: { spill: [{ target: 'ep-2', because: 'endpoint_scaling_up' }] } },
  });
});

test.each(['engine_failed', 'engine_unavailable', 'engine_timeout'] as const)(
  'an engine that ends with %s before the first byte spills, one that a target has too comes back as the first',
  async (refuse) => {
    await using h = await harness(null, demo(spillsTo()), spare());
    const bad = new Set(['rep-1']);
    h.script = () => (bad.has('rep-1') && h.engines.get('rep-2')?.requests.length !== 1 ? { refuse } : { tokens: 2 });
    const reply = await h.post('/v1/chat/completions', ASK);
    expect(reply.headers.get('x-cubit-spill-reason')).toBe('not_ready');
    h.script = () => ({ refuse });
    const failed = await h.post('/v1/chat/completions', ASK);
    expect(((await failed.json()) as { error: { code: string } }).error.code).toBe(refuse);
    await h.idle();
    for (const one of h.gateway.stats().servedModels) expect(one.running).toBe(0);
  },
);

test('nothing spills after the first byte, for a reason that is off, or for what the client got wrong', async () => {
  await using h = await harness(null, demo(spillsTo({ reasons: ['not_ready'] })), spare());
  h.script = () => ({ tokens: 5, after: { tokens: 2, end: 'throw' } });
  const broken = await h.post('/v1/chat/completions', { ...ASK, stream: true });
  expect(await broken.text()).toContain('engine_failed');
  expect(h.receipts[0]).toMatchObject({ outcome: 'interrupted', spill: null, endpointId: 'ep-1' });
  expect((await h.post('/v1/chat/completions', { ...ASK, temperature: 9 })).status).toBe(400);
  await occupied(h);
  expect((await h.post('/v1/chat/completions', ASK)).status).toBe(429);
  expect(h.engines.has('rep-2')).toBe(false);
});

test('a prompt that is too long goes only where there is more room', async () => {
  const wide = (contextTokens: number) => ({
    ...spare(),
    servedModels: [served({ servedModelId: 'sm-2', replicas: [replica('rep-2')], contextTokens })],
  });
  await using h = await harness(null, demo(spillsTo()), wide(4_096));
  h.script = () => (h.engines.has('rep-2') ? { tokens: 1 } : { refuse: 'context_length_exceeded' });
  expect((await h.post('/v1/chat/completions', ASK)).status).toBe(400);
  expect(h.engines.has('rep-2')).toBe(false);
  h.gateway.apply(snapshot(demo(spillsTo()), wide(8_192)));
  const reply = await h.post('/v1/chat/completions', ASK);
  expect([reply.status, reply.headers.get('x-cubit-spill-reason')]).toEqual([200, 'context_too_long']);
});

test('a request chooses among the policies that the endpoint allows', async () => {
  await using h = await harness(null, demo(spillsTo({ allowed: ['spill', 'reject'] })), spare());
  await occupied(h);
  const ask = (policy: string) => h.post('/v1/chat/completions', ASK, { 'x-cubit-overflow': policy });
  expect((await ask('spill')).status).toBe(200);
  expect((await ask('reject')).status).toBe(429);
  for (const policy of ['queue', 'spil', '']) {
    const reply = await ask(policy);
    expect(reply.status).toBe(400);
    expect(await reply.json()).toMatchObject({ error: { param: 'x-cubit-overflow' } });
  }
});

test('without settings of its own an endpoint allows what it does', async () => {
  await using h = await harness(null, endpoint());
  const ask = (policy: string) => h.post('/v1/chat/completions', ASK, { 'x-cubit-overflow': policy });
  expect((await ask('reject')).status).toBe(200);
  expect((await ask('spill')).status).toBe(400);
});

test('a dry run says where a request would spill to', async () => {
  await using h = await harness(null, demo(spillsTo()), spare());
  await occupied(h);
  const reply = await h.post('/v1/chat/completions', ASK, { 'x-cubit-dry-run': 'true' });
  expect(await reply.json()).toMatchObject({ would: 'spill', spillsTo: 'ep-2' });
  expect(h.receipts[0]).toMatchObject({ outcome: 'dry_run', cause: 'spill' });
});

test('the minute’s limits of a pool hold for what spills into it', async () => {
  const pool = { ...spare(), rateLimit: { key: 't-1/m', requestsPerMinute: 2, tokensPerMinute: 10_000 } };
  await using h = await harness(null, demo(spillsTo()), pool);
  await occupied(h);
  const statuses = [];
  for (let i = 0; i < 3; i += 1) statuses.push((await h.post('/v1/chat/completions', ASK)).status);
  expect(statuses).toEqual([200, 200, 429]);
  // Its own name counts with it.
  expect((await h.post('/v1/chat/completions', { ...ASK, model: 'spare' })).status).toBe(429);
});

test('another served model of the endpoint takes over only where the endpoint names it as a target', async () => {
  const models = [
    served({ trafficPercent: 100, batchPerUnit: 1 }),
    served({ servedModelId: 'sm-9', trafficPercent: 0, replicas: [replica('rep-9')] }),
  ];
  const key = endpointKey('t-1', 'ep-1');
  const to = (...ids: string[]) =>
    endpoint({
      overflow: spillsTo({ targets: ids.map((targetId) => ({ targetId, endpointKey: key, price: null })) }),
      servedModels: models,
    });
  await using h = await harness(null, to('sm-1', 'sm-gone'));
  await occupied(h);
  const refused = await h.post('/v1/chat/completions', ASK);
  expect(refused.status).toBe(429);
  const spill = [{ because: 'refused_before' }, { because: 'gone' }];
  expect(await refused.json()).toMatchObject({ error: { details: { spill } } });
  h.gateway.apply(snapshot(to('sm-1', 'sm-9')));
  const reply = await h.post('/v1/chat/completions', ASK);
  expect([reply.status, reply.headers.get('x-cubit-served-model')]).toEqual([200, 'sm-9']);
  expect(h.receipts.at(-1)).toMatchObject({ endpointId: 'ep-1', servedModelId: 'sm-9', spill: { targetId: 'sm-9' } });
});
