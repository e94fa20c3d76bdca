import { expect, it } from 'vitest';
import { endpoint, Harness, OTHER_KEY, replica, served, snapshot, until } from './fixture.ts';
import type { EndpointSnapshot } from './snapshot.ts';

const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }], max_tokens: 5 };
const CHAT = '/v1/chat/completions';
const OTHER = { authorization: `Bearer ${OTHER_KEY}` };
const POOL = served({ servedModelId: 'pool-1', shared: true });

/** Tenants t-1 and t-2 with an endpoint `demo` each on one pool. */
function onePool(limits = { requestsPerMinute: 5, tokensPerMinute: 10_000 }, model = POOL): EndpointSnapshot[] {
  return ['t-1', 't-2'].map((tenantId, i) =>
    endpoint({
      endpointId: `ep-${i + 1}`,
      tenantId,
      servedModels: [model],
      rateLimit: { key: `${tenantId}/fake-model`, ...limits },
    }),
  );
}

/** The harness's clock, moved by hand. */
function movedClock() {
  const clock = { aheadMs: 0, monotonicMs: () => performance.now() + clock.aheadMs };
  return clock;
}

it('lets in what a minute allows and says the rest in 429, headers and retry-after; a minute later again', async () => {
  const clock = movedClock();
  await using harness = await new Harness({}, { monotonicMs: clock.monotonicMs }).start(...onePool());
  for (let left = 4; left >= 0; left -= 1) {
    const answer = await harness.post(CHAT, BODY);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('x-ratelimit-limit-requests')).toBe('5');
    expect(answer.headers.get('x-ratelimit-remaining-requests')).toBe(String(left));
    expect(answer.headers.get('x-ratelimit-limit-tokens')).toBe('10000');
    expect(Number(answer.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(10_000);
    expect(answer.headers.get('x-ratelimit-reset-requests')).toMatch(/^1m[01]s$/);
  }
  const refused = await harness.post(CHAT, { ...BODY, stream: true });
  expect(refused.status).toBe(429);
  expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
  const waitMs = Number(refused.headers.get('retry-after-ms'));
  expect(waitMs).toBeGreaterThan(55_000);
  expect(refused.headers.get('retry-after')).toBe(String(Math.ceil(waitMs / 1_000)));
  expect(await refused.json()).toMatchObject({
    error: {
      type: 'rate_limit_error',
      code: 'rate_limit_exceeded',
      details: { because: 'requests', requestsPerMinute: 5, tokensPerMinute: 10_000 },
    },
  });
  clock.aheadMs = waitMs;
  expect((await harness.post(CHAT, BODY)).status).toBe(200);
});

it('holds tokens by the estimate and settles to what it took; a stream carries the headers too', async () => {
  await using harness = await new Harness().start(...onePool({ requestsPerMinute: 50, tokensPerMinute: 1_000 }));
  harness.script = () => ({ tokens: 3 });
  const first = await harness.post(CHAT, { ...BODY, max_tokens: 900, stream: true });
  await first.text();
  await harness.idle();
  const { promptTokens, outputTokens } = harness.receipts[0]!;
  expect(outputTokens).toBe(3);
  const second = await harness.post(CHAT, BODY, { 'x-cubit-dry-run': 'true' });
  expect(second.headers.get('x-ratelimit-remaining-tokens')).toBe(String(1_000 - promptTokens - 3));
  expect(first.headers.get('x-ratelimit-remaining-requests')).toBe('49');
  expect(second.headers.get('x-ratelimit-remaining-requests')).toBe('49');
});

it('refuses what alone is larger than the limit, and tells SDKs not to try again', async () => {
  await using harness = await new Harness().start(...onePool({ requestsPerMinute: 5, tokensPerMinute: 4 }));
  const answer = await harness.post(CHAT, BODY);
  expect(answer.status).toBe(429);
  expect(answer.headers.get('x-should-retry')).toBe('false');
  expect(answer.headers.get('retry-after')).toBeNull();
});

it('counts no tokens of what failed or found the pool full', async () => {
  await using harness = await new Harness().start(...onePool());
  harness.script = () => ({ refuse: 'engine_failed' });
  expect((await harness.post(CHAT, BODY)).status).toBe(502);
  await harness.idle();
  const answer = await harness.post(CHAT, BODY, { 'x-cubit-dry-run': 'true' });
  expect(answer.headers.get('x-ratelimit-remaining-tokens')).toBe('10000');
});

it('a tenant that floods takes nothing of another beyond its own limits', async () => {
  const narrow = { ...POOL, batchPerUnit: 8 };
  await using harness = await new Harness().start(...onePool(undefined, narrow));
  harness.script = () => ({ firstMs: 100 });
  const flood = Array.from({ length: 60 }, () => harness.post(CHAT, BODY));
  await until(() => harness.engines.get('rep-1')?.running === 5);
  const other = await Promise.all(Array.from({ length: 3 }, () => harness.post(CHAT, BODY, OTHER)));
  expect(other.map((answer) => answer.status)).toEqual([200, 200, 200]);
  const statuses = (await Promise.all(flood)).map((answer) => answer.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(5);
  expect(statuses.filter((status) => status === 429)).toHaveLength(55);
  expect(harness.engines.get('rep-1')?.runningMax).toBeLessThanOrEqual(8);
});

it('tenants share the pool and its line, never a prefix cache, and see nothing of each other', async () => {
  const narrow = { ...POOL, batchPerUnit: 1 };
  await using harness = await new Harness().start(...onePool(undefined, narrow));
  harness.script = () => ({ firstMs: 150 });
  const first = harness.post(CHAT, BODY);
  await until(() => harness.engines.get('rep-1')?.running === 1);
  const refused = await harness.post(CHAT, BODY, OTHER);
  expect(refused.status).toBe(429);
  const { error } = (await refused.json()) as { error: { code: string; message: string; details: object } };
  expect(error).toMatchObject({ code: 'model_units_exhausted', details: { running: 1, usedBy: [] } });
  expect(error.message).toContain('The shared pool of this model');
  expect((await first).status).toBe(200);
  expect((await harness.post(CHAT, BODY, OTHER)).status).toBe(200);
  const salts = harness.engines.get('rep-1')?.requests.map((request) => request.cacheSalt);
  expect(salts).toEqual(['t-1', 't-2']);
  expect(
    harness.receipts.map(({ tenantId, endpointId, servedModelId }) => [tenantId, endpointId, servedModelId]),
  ).toEqual([
    ['t-2', 'ep-2', 'pool-1'],
    ['t-1', 'ep-1', 'pool-1'],
    ['t-2', 'ep-2', 'pool-1'],
  ]);
  expect(harness.gateway.stats().servedModels).toHaveLength(1);
});

it('new limits hold at once; deleting and making an endpoint again does not empty the minute', async () => {
  const clock = movedClock();
  await using harness = await new Harness({}, { monotonicMs: clock.monotonicMs }).start(...onePool());
  for (let i = 0; i < 5; i += 1) await harness.post(CHAT, BODY);
  harness.gateway.apply(snapshot());
  harness.gateway.apply(snapshot(...onePool()));
  expect((await harness.post(CHAT, BODY)).status).toBe(429);
  harness.gateway.apply(snapshot(...onePool({ requestsPerMinute: 6, tokensPerMinute: 10_000 })));
  expect((await harness.post(CHAT, BODY)).status).toBe(200);
});

it('an endpoint whose tenant stayed overdue says so with 402 and costs nothing', async () => {
  const [own, other] = onePool();
  await using harness = await new Harness().start({ ...own!, suspended: true }, other!);
  const answer = await harness.post(CHAT, BODY);
  expect(answer.status).toBe(402);
  expect(await answer.json()).toMatchObject({ error: { code: 'payment_required' } });
  expect((await harness.post(CHAT, BODY, OTHER)).status).toBe(200);
  expect(harness.receipts[0]).toMatchObject({ outcome: 'rejected_identity', promptTokens: 0 });
});

it('endpoints with units of their own have no limits by the minute', async () => {
  await using harness = await new Harness().start(
    endpoint({ servedModels: [served({ replicas: [replica('rep-1')] })] }),
  );
  const answer = await harness.post(CHAT, BODY);
  expect([...answer.headers.keys()].filter((name) => name.startsWith('x-ratelimit'))).toEqual([]);
});
