import { hash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { endpoint, Harness, KEY, OTHER_KEY, served, snapshot, until } from './fixture.ts';
import type { EndpointSnapshot, KeySnapshot } from './snapshot.ts';

const CHAT = '/v1/chat/completions';
const OTHER = { authorization: `Bearer ${OTHER_KEY}` };
const bodyOf = (text: string) => ({ model: 'demo', messages: [{ role: 'user', content: text }], max_tokens: 5 });

/** Two keys of one tenant. */
function withKeys(own: Partial<KeySnapshot>, other: Partial<KeySnapshot>, ...endpoints: EndpointSnapshot[]) {
  return {
    ...snapshot(...endpoints),
    keys: new Map([
      [hash('sha256', KEY, 'hex'), { keyId: 'key-1', tenantId: 't-1', ...own }],
      [hash('sha256', OTHER_KEY, 'hex'), { keyId: 'key-2', tenantId: 't-1', ...other }],
    ]),
  };
}

const narrow = () => endpoint({ maxWaitMs: 30_000, servedModels: [served({ batchPerUnit: 1 })] });

/** The texts in the order in which the engine got them. */
const orderOf = (harness: Harness) =>
  harness.engines.get('rep-1')?.requests.map(({ body }) => {
    const [message] = body['messages'] as { content: string }[];
    return message?.content;
  }) ?? [];

describe('a key that floods', () => {
  it('has the requests of another key let in between its own, by weight, and none lost', async () => {
    await using harness = await new Harness().start(narrow());
    harness.gateway.apply(withKeys({}, { share: { id: 'key-2', weight: 2 } }, narrow()));
    let sent = 0;
    harness.script = () => ({ firstMs: sent++ === 0 ? 1_500 : 5 });
    const flood = Array.from({ length: 30 }, () => harness.post(CHAT, bodyOf('f')));
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 29);
    const quiet = Array.from({ length: 8 }, () => harness.post(CHAT, bodyOf('q'), OTHER));
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 37);
    const statuses = (await Promise.all([...flood, ...quiet])).map(({ status }) => status);
    expect(statuses).toEqual(Array.from({ length: 38 }, () => 200));
    // Of the 12 let in once both waited, two thirds are the quiet key's, to within one request of each.
    const order = orderOf(harness);
    const first = order.indexOf('q');
    expect(order.slice(first, first + 12).filter((text) => text === 'q').length).toBeGreaterThanOrEqual(6);
  });

  it('fills no more than half of the queue, so that another may wait', async () => {
    const limits = { queue: { count: 10, workUs: 1e12, bytes: 1e9, ageMs: 60_000 } };
    await using harness = await new Harness(limits).start(narrow());
    harness.gateway.apply(withKeys({}, {}, narrow()));
    let sent = 0;
    harness.script = () => ({ firstMs: sent++ === 0 ? 1_500 : 5 });
    const flood = Array.from({ length: 20 }, () => harness.post(CHAT, bodyOf('f')));
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 5);
    const other = harness.post(CHAT, bodyOf('q'), OTHER);
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 6);
    expect((await other).status).toBe(200);
    const refused = (await Promise.all(flood)).filter(({ status }) => status === 429);
    expect(refused).toHaveLength(14);
    expect(await refused[0]!.text()).toContain('queue that is yours is full');
  });

  it('leaves a place to a key that was active, which need not wait', async () => {
    const two = endpoint({ maxWaitMs: 30_000, servedModels: [served({ batchPerUnit: 2 })] });
    await using harness = await new Harness().start(two);
    harness.gateway.apply(withKeys({}, {}, two));
    expect((await harness.post(CHAT, bodyOf('q'), OTHER)).status).toBe(200);
    harness.script = () => ({ firstMs: 400 });
    const flood = Array.from({ length: 3 }, () => harness.post(CHAT, bodyOf('f')));
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 2);
    const quiet = await harness.post(CHAT, bodyOf('q'), { ...OTHER, 'x-cubit-max-wait-ms': '0' });
    expect(quiet.status).toBe(200);
    expect(quiet.headers.get('x-cubit-wait-ms')).toBe('0');
    expect((await Promise.all(flood)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });
});

it('an answer in one piece holds its prefill no longer than prefill takes', async () => {
  const step = { tau0Us: 1, tau1Us: 1, tau2Us: 0, tau3Us: 0, tau4Us: 0, tau5Us: 0 };
  const latency = { step, stepTokensMax: 1, ttftMsMax: 50, ttftPrefillFactor: 2, tpotMsMax: 1e9 };
  const coefficients = { p0Us: 40_000, p1Us: 0, p2Us: 0, d1Us: 1, d2Us: 0 };
  const one = endpoint({ maxWaitMs: 30_000, servedModels: [served({ latency, coefficients })] });
  await using harness = await new Harness().start(one);
  let sent = 0;
  harness.script = () => ({ firstMs: sent++ === 0 ? 60_000 : 1 });
  const leaver = new AbortController();
  const hanging = harness.client().chat.completions.create(bodyOf('long') as never, { signal: leaver.signal });
  const left = expect(hanging).rejects.toThrow();
  await until(() => harness.engines.get('rep-1')?.running === 1);
  expect((await harness.post(CHAT, bodyOf('next'))).status).toBe(200);
  leaver.abort();
  await left;
});

describe('limits of a key', () => {
  it.each([
    ['requests', { requestsPerMinute: 1 }, '1 requests a minute'],
    ['work', { workUsPerMinute: 40_000 }, 'unit-seconds a minute'],
    ['tokens', { tokensPerMinute: 30 }, '30 tokens a minute'],
  ])('by %s refuse with 429, which limit and when, on endpoints with units too', async (because, limits, words) => {
    await using harness = await new Harness().start(endpoint());
    harness.gateway.apply(withKeys({ limits }, {}, endpoint()));
    expect((await harness.post(CHAT, bodyOf('hello there'))).status).toBe(200);
    await harness.idle();
    const look = await harness.post(CHAT, bodyOf('hello there'), { 'x-cubit-dry-run': 'true' });
    const refused = await harness.post(CHAT, bodyOf('hello there'));
    expect([look.status, refused.status]).toEqual([429, 429]);
    const { error } = (await refused.json()) as { error: { message: string; details: Record<string, unknown> } };
    expect(error).toMatchObject({ code: 'rate_limit_exceeded', details: { because, limitOf: 'key' } });
    expect(error.message).toContain(words);
    expect(Number(refused.headers.get('retry-after-ms'))).toBeGreaterThan(1_000);
    expect(refused.headers.get(`x-ratelimit-limit-${because}`)).not.toBeNull();
    expect((await harness.post(CHAT, bodyOf('hello there'), OTHER)).status).toBe(200);
  });

  it('by concurrency end as soon as one has ended', async () => {
    await using harness = await new Harness().start(endpoint());
    harness.gateway.apply(withKeys({ limits: { concurrency: 1 } }, {}, endpoint()));
    harness.script = () => ({ firstMs: 100 });
    const first = harness.post(CHAT, bodyOf('a'));
    await until(() => harness.engines.get('rep-1')?.running === 1);
    const second = await harness.post(CHAT, bodyOf('b'));
    expect(second.status).toBe(429);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(second.headers.get('x-ratelimit-remaining-concurrency')).toBe('0');
    expect((await first).status).toBe(200);
    await harness.idle();
    expect((await harness.post(CHAT, bodyOf('c'))).status).toBe(200);
  });
});

describe('the early warning', () => {
  it('says how full the units are, and once that has been too much for long, that it is', async () => {
    const clock = { aheadMs: 0 };
    const monotonicMs = () => performance.now() + clock.aheadMs;
    const warning = { highShare: 0.8, sustainMs: 10_000 };
    const dear = served({ batchPerUnit: 9, coefficients: { p0Us: 4e6, p1Us: 0, p2Us: 0, d1Us: 0, d2Us: 0 } });
    await using harness = await new Harness({ warning }, { monotonicMs }).start(endpoint({ servedModels: [dear] }));
    let answer = await harness.post(CHAT, bodyOf('x'));
    expect(answer.headers.get('x-cubit-utilization')).toBe('0.00');
    for (let n = 0; n < 40; n += 1) {
      clock.aheadMs += 4_000;
      answer = await harness.post(CHAT, bodyOf('x'));
    }
    expect(Number(answer.headers.get('x-cubit-utilization'))).toBeGreaterThan(0.8);
    expect(answer.headers.get('x-cubit-warning')).toContain('add units');
    expect(harness.gateway.stats().servedModels[0]?.warningEpisode).toBe(1);
    clock.aheadMs += 300_000;
    await harness.post(CHAT, bodyOf('x'));
    clock.aheadMs += 11_000;
    expect((await harness.post(CHAT, bodyOf('x'))).headers.get('x-cubit-warning')).toBeNull();
  });
});
