import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Running, startUp, temporaryFolder, until } from './process.ts';

/** An endpoint whose last worker is given back when nobody asks, and started for the first request after that. */
let cubit: Running;

beforeAll(async () => {
  cubit = await startUp(temporaryFolder(), { CUBIT_WORKERS_MAX: '1' });
});
afterAll(async () => {
  await cubit?.stop('SIGKILL');
});

async function api(method: string, path: string, body?: unknown) {
  const { url, dataDir } = cubit.ready;
  const operatorToken = readFileSync(join(dataDir, 'operator-token'), 'utf8').trim();
  const reply = await fetch(`${url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: what came over HTTP is what the test is about.
  const answer = (await reply.json()) as any;
  if (!reply.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

async function ask(waitMs: number) {
  const reply = await fetch(`${cubit.ready.url}/v1/chat/completions`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${cubit.ready.apiKey}`,
      'content-type': 'application/json',
      'x-cubit-max-wait-ms': String(waitMs),
    },
    body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 8 }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  return { reply, body: (await reply.json()) as any };
}

it('goes to zero when idle, tells a caller when it will be back, serves one that waits, and bills what was there', async () => {
  const [{ groupId }] = (await api('GET', '/groups')).items;
  const { billedFromMs } = await api('GET', `/groups/${groupId}`);
  await api('POST', `/groups/${groupId}/rule`, { minUnits: 0, maxUnits: 1, scaleInAfterMs: 3_000, drainMsMax: 10_000 });
  const unitsOf = async () => (await api('GET', `/groups/${groupId}/rule`)).units;
  const isEmpty = async () => {
    const units = await unitsOf();
    return units.base + units.ready + units.starting + units.draining === 0;
  };
  await until('nothing is left', isEmpty);

  const refused = await ask(0);
  expect([refused.reply.status, refused.body.error.code]).toEqual([503, 'endpoint_scaling_up']);
  const { etaMs } = refused.body.error.details;
  expect(etaMs).toBeGreaterThan(0);
  expect(Number(refused.reply.headers.get('retry-after'))).toBe(Math.ceil(etaMs / 1_000));

  const waited = await ask(60_000);
  expect(waited.body).toMatchObject({ usage: { completion_tokens: expect.any(Number) } });
  expect(waited.reply.status).toBe(200);
  expect(Number(waited.reply.headers.get('x-cubit-wait-ms'))).toBeGreaterThan(0);
  await until('nothing is left again', isEmpty);

  const [second, first] = (await api('GET', `/groups/${groupId}/units`)).items;
  expect([first, second].map(({ failure, state }) => ({ failure, state }))).toEqual([
    { failure: null, state: 'released' },
    { failure: null, state: 'released' },
  ]);
  const { items: decisions } = await api('GET', `/scaling/decisions?groupId=${groupId}`);
  expect(decisions.map((one: { cause: string }) => one.cause)).toEqual(['idle', 'wake', 'idle']);
  // Every second that was begun since the start is of the segment in which it began to count.
  const seconds = (atMs: number) => Math.ceil((atMs - billedFromMs) / 1_000);
  const served = seconds(first.drainingAtMs) + seconds(second.drainingAtMs) - seconds(second.readyAtMs);
  expect((await api('GET', `/groups/${groupId}`)).billedUnitSeconds).toBe(served);
  console.log('scale to zero:', {
    etaMs,
    waitMs: waited.reply.headers.get('x-cubit-wait-ms'),
    billedUnitSeconds: served,
  });
});
