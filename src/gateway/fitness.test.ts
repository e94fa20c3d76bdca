import { expect, it } from 'vitest';
import { HEALTH_SETTINGS } from '../core/serving/replica-health.ts';
import { RETRY_BUDGET } from '../core/serving/retry-budget.ts';
import type { EngineRequest } from '../engine/port.ts';
import { endpoint, Harness, replica, type Script, served, until } from './fixture.ts';

const CHAT = '/v1/chat/completions';
const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] };
const STREAM = { ...BODY, stream: true };
const three = () =>
  endpoint({ servedModels: [served({ replicas: ['rep-1', 'rep-2', 'rep-3'].map((id) => replica(id)) })] });

/** A gateway whose monotonic clock is ahead by what the test says, and whose replicas answer as the test says. */
async function poolOf(scripts: Record<string, () => Script>, limits = {}, pool = three()) {
  const clock = { aheadMs: 0 };
  const harness = await new Harness(limits, { monotonicMs: () => performance.now() + clock.aheadMs }).start(pool);
  const scriptOf = (request: EngineRequest): Script => {
    for (const [id, engine] of harness.engines) if (engine.requests.at(-1) === request) return scripts[id]?.() ?? {};
    return {};
  };
  harness.script = scriptOf;
  const askedOf = (id: string) => harness.engines.get(id)?.requests.length ?? 0;
  const healthOf = (id: string) => harness.gateway.healthOf(id)?.state;
  const ask = async (body: object = STREAM) => {
    const answer = await harness.post(CHAT, body);
    return { status: answer.status, text: await answer.text() };
  };
  return { clock, harness, askedOf, healthOf, ask };
}

function expectSettled(harness: Harness): void {
  for (const stats of harness.gateway.stats().servedModels) {
    expect(stats).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0, queued: 0 });
    expect(stats.reservedUs).toBe(stats.settledUs + stats.returnedUs);
    for (const running of stats.runningOn.values()) expect(running).toBe(0);
  }
}

it('a server that answers 500 while it drains is left alone after a few, tried again later, and no client sees it', async () => {
  let draining = true;
  const pool = await poolOf({ 'rep-1': () => (draining ? { refuse: 'engine_failed' } : {}) });
  await using harness = pool.harness;
  for (let time = 0; time < 30; time += 1) expect((await pool.ask()).status).toBe(200);
  expect([pool.askedOf('rep-1'), pool.healthOf('rep-1')]).toEqual([HEALTH_SETTINGS.failuresInARow, 'ejected']);
  const stats = harness.gateway.stats().servedModels[0];
  expect([stats?.readyUnits, stats?.unfit]).toEqual([2, new Map([['rep-1', 'failing']])]);
  expect(harness.logs.filter((line) => line.includes('replica ejected'))).toHaveLength(1);
  expect(await harness.registry.metrics()).toMatch(/cubit_replicas_unfit\{.*\} 1\n/);

  pool.clock.aheadMs += HEALTH_SETTINGS.ejectMs;
  expect((await pool.ask()).text).toContain('[DONE]');
  expect([pool.askedOf('rep-1'), pool.healthOf('rep-1')]).toEqual([HEALTH_SETTINGS.failuresInARow + 1, 'ejected']);
  draining = false;
  pool.clock.aheadMs += 2 * HEALTH_SETTINGS.ejectMs;
  for (let time = 0; time < HEALTH_SETTINGS.probes; time += 1) await pool.ask();
  expect(pool.healthOf('rep-1')).toBe('serving');
  const after = harness.gateway.stats().servedModels[0];
  expect([after?.readyUnits, after?.unfit.size]).toEqual([3, 0]);
  expect(harness.logs.some((line) => line.includes('replica serves again'))).toBe(true);
  expectSettled(harness);
});

it('a worker that hangs is found by its silence, long before its requests are out of time', async () => {
  const pool = await poolOf({ 'rep-1': () => ({ hang: true }) });
  await using harness = pool.harness;
  const asked = [1, 2, 3].map(() => harness.post(CHAT, STREAM).then((answer) => answer.text()));
  await until(() => harness.gateway.stats().active === 1 && pool.askedOf('rep-1') === 1);
  pool.clock.aheadMs += 11_000;
  for (let time = 0; time < 6; time += 1) expect((await pool.ask()).status).toBe(200);
  expect([pool.askedOf('rep-1'), pool.healthOf('rep-1')]).toEqual([1, 'ejected']);
  await harness.gateway.drain(0);
  const texts = await Promise.all(asked);
  expect(texts.filter((text) => text.includes('[DONE]'))).toHaveLength(2);
  expectSettled(harness);
});

it('one replica is never left without requests, and answers as soon as it can', async () => {
  let failing = true;
  const pool = await poolOf({ 'rep-1': () => (failing ? { refuse: 'engine_failed' } : {}) }, {}, endpoint());
  await using harness = pool.harness;
  for (let time = 0; time < 5; time += 1) expect((await pool.ask()).status).toBe(502);
  failing = false;
  expect((await pool.ask()).status).toBe(200);
  expect(harness.logs.some((line) => line.includes('all go on serving'))).toBe(true);
});

it('retries stop at their budget: a pool that fails altogether is not asked twice for everything', async () => {
  const fail = () => ({ refuse: 'engine_failed' }) as const;
  const pool = await poolOf({ 'rep-1': fail, 'rep-2': fail, 'rep-3': fail });
  await using harness = pool.harness;
  const requests = 150;
  for (let time = 0; time < requests; time += 1) expect((await pool.ask()).status).toBe(502);
  const sent = ['rep-1', 'rep-2', 'rep-3'].reduce((sum, id) => sum + pool.askedOf(id), 0);
  const { savedMax, share } = RETRY_BUDGET;
  // And the trickle of the seconds that this took.
  expect(sent).toBeLessThanOrEqual(requests + savedMax + share * requests + 30);
  expect(sent).toBeGreaterThan(requests + savedMax);
  expect(await harness.registry.metrics()).toMatch(/cubit_retries_refused_total\{.*\} [1-9]/);
  expectSettled(harness);
});

it.each([STREAM, BODY])(
  'hedging: the second replica answers when the first is silent; its slot is freed, work counts once',
  async (body) => {
    const silent: Script = { firstMs: 60_000 };
    let first: string | null = null;
    const scriptOf = (id: string) => () => {
      first ??= id;
      return first === id ? silent : {};
    };
    const scripts = { 'rep-1': scriptOf('rep-1'), 'rep-2': scriptOf('rep-2'), 'rep-3': scriptOf('rep-3') };
    const pool = await poolOf(scripts, { hedgeAfterMs: 20 });
    await using harness = pool.harness;
    const { status, text } = await pool.ask(body);
    expect(status).toBe(200);
    expect(text).toContain('t4');
    await harness.idle();
    const loser = harness.engines.get(first as unknown as string)!;
    await until(() => loser.running === 0);
    expect(loser.aborted).toBe(1);
    expect(harness.receipts).toMatchObject([{ outcome: 'completed' }]);
    expect(harness.receipts[0]?.replicaId).not.toBe(first);
    const [stats] = harness.gateway.stats().servedModels;
    const { actual } = harness.receipts[0]!;
    expect(stats?.settledUs).toBe(actual.prefillUs + actual.decodeUs);
    expect(await harness.registry.metrics()).toMatch(/cubit_hedges_total\{.*\} 1\n/);
    expectSettled(harness);
  },
);

it('hedging: both fail, one error; the client leaves, both are cancelled; off unless asked for', async () => {
  let script: Script = { firstMs: 50, raw: ['data: [DONE]\n\n'] };
  const all = { 'rep-1': () => script, 'rep-2': () => script, 'rep-3': () => script };
  const pool = await poolOf(all, { hedgeAfterMs: 5 });
  await using harness = pool.harness;
  const failed = await pool.ask();
  expect(failed.status).toBe(502);
  script = { firstMs: 60_000 };
  const leaver = new AbortController();
  const init = { method: 'POST', headers: { authorization: 'Bearer sk-test-key' }, signal: leaver.signal };
  const gone = fetch(harness.url + CHAT, { ...init, body: JSON.stringify(STREAM) }).catch(() => {});
  const running = () => [...harness.engines.values()].reduce((sum, engine) => sum + engine.running, 0);
  await until(() => running() === 2);
  leaver.abort();
  await gone;
  await until(() => running() === 0);
  await harness.idle();
  expect(harness.receipts.map(({ outcome }) => outcome)).toEqual(['failed', 'cancelled']);
  expectSettled(harness);

  const plain = await poolOf({}, {});
  await using other = plain.harness;
  other.script = () => ({ firstMs: 100 });
  await plain.ask();
  expect([...other.engines.values()].flatMap(({ requests }) => requests)).toHaveLength(1);
});

it('a replica much slower than its peers is kept out, and none of the others', async () => {
  const replicas = ['rep-1', 'rep-2', 'rep-3'].map((id) => replica(id));
  const coefficients = { p0Us: 100, p1Us: 10, p2Us: 0, d1Us: 100, d2Us: 0 };
  // Time goes by what engines take, whatever the machine does.
  let nowMs = 0;
  function* answerAt(msPerToken: number): Generator<string> {
    for (let token = 0; token < 10; token += 1) {
      nowMs += msPerToken;
      const choice = { index: 0, delta: { content: 'x' }, finish_reason: token === 9 ? 'stop' : null };
      yield `data: ${JSON.stringify({ choices: [choice] })}\n\n`;
    }
    yield 'data: [DONE]\n\n';
  }
  await using harness = new Harness({}, { monotonicMs: () => nowMs });
  await harness.start(endpoint({ servedModels: [served({ replicas, coefficients })] }));
  harness.script = (request) => {
    const isSlow = harness.engines.get('rep-2')?.requests.at(-1) === request;
    return { raw: answerAt(isSlow ? 25 : 1) };
  };
  for (let round = 0; round < 60; round += 1) {
    expect(await (await harness.post(CHAT, STREAM)).text()).toContain('[DONE]');
    nowMs += 100;
  }
  const states = replicas.map(({ replicaId }) => harness.gateway.healthOf(replicaId)?.state);
  expect([states[0], states[2]]).toEqual(['serving', 'serving']);
  expect(states[1]).not.toBe('serving');
  expect(harness.gateway.healthOf('rep-2')?.reason).toBe('slow_tokens');
  await harness.idle();
  expectSettled(harness);
});
