import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Running, startUp, temporaryFolder, until } from './process.ts';

/** Units are worker processes on this machine: the same rule, decision, drain and bill as anywhere. */
let cubit: Running;

beforeAll(async () => {
  cubit = await startUp(temporaryFolder(), { CUBIT_WORKERS_MAX: '2' });
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

it('scales out under load and in after it, with no failed request, and bills the second unit while it serves', async () => {
  const [group] = (await api('GET', '/groups')).items;
  const { groupId } = group;
  const rule = { maxUnits: 2, scaleInAfterMs: 10_000, drainMsMax: 60_000 };
  await api('POST', `/groups/${groupId}/rule`, rule);
  const client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
  const failures: unknown[] = [];
  let completed = 0;
  let stopping = false;
  const ask = async () => {
    while (!stopping) {
      try {
        const stream = await client.chat.completions.create(
          { model: 'demo', messages: [{ role: 'user', content: 'Count to fifty.' }], max_tokens: 60, stream: true },
          { headers: { 'x-cubit-max-wait-ms': '600000' } },
        );
        for await (const _ of stream);
        completed += 1;
      } catch (error) {
        failures.push(error);
      }
    }
  };
  const load = Promise.all(Array.from({ length: 12 }, ask));
  const units = async () => (await api('GET', `/groups/${groupId}/rule`)).units;
  await until('a second unit serves', async () => (await units()).ready === 1, 240_000);
  const before = completed;
  await until('it has served', async () => completed > before + 12, 240_000);
  // Scale-in while requests still run: a little load goes on.
  stopping = true;
  await load;
  stopping = false;
  const trickle = ask();
  await until('the unit was given back', async () => (await units()).ready + (await units()).draining === 0, 240_000);
  stopping = true;
  await trickle;
  expect(failures).toEqual([]);

  const [unit] = (await api('GET', `/groups/${groupId}/units`)).items;
  expect(unit).toMatchObject({ state: 'released', failure: null });
  const { items: decisions } = await api('GET', `/scaling/decisions?groupId=${groupId}`);
  expect(decisions.map((one: { unitsAfter: number }) => one.unitsAfter)).toEqual([1, 2]);
  const billed = await api('GET', `/groups/${groupId}`);
  const aboveBase = billed.billedUnitSeconds - billed.billedSeconds;
  // Whole seconds, from ready to drained.
  expect(Math.abs(aboveBase - (unit.drainingAtMs - unit.readyAtMs) / 1_000)).toBeLessThanOrEqual(1);
  console.log('elastic:', {
    completed,
    aboveBase,
    sentences: decisions.map((one: { sentence: string }) => one.sentence),
  });
});
