import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Json } from '../../src/control/fixture.ts';
import { createLog } from '../../src/log.ts';
import { type Cubit, startCubit } from '../../src/main.ts';
import { testWeights } from '../fixtures.ts';
import { temporaryFolder, until } from './process.ts';

/** An endpoint of one unit of the real engine is flooded and spills to the shared pool until its budget stops it. */
const MODEL = 'smollm2-135m-instruct';
const clock = { aheadMs: 0 };
const dataDir = temporaryFolder();
let cubit: Cubit;

beforeAll(async () => {
  const log = createLog({ level: 'warn', file: `${dataDir}/cubit.log` });
  const config = loadConfig({ dataDir, port: 0, demo: false, workersMax: 2 });
  const now = () => Date.now() + clock.aheadMs;
  cubit = await startCubit(config, { log, getWeights: () => testWeights(), now });
});

afterAll(() => cubit?.close(0));

async function call(method: string, path: string, body?: unknown): Promise<Json> {
  const reply = await fetch(`${cubit.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${cubit.operatorToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer = (await reply.json()) as Json;
  if (!reply.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

const micros = (amount: string) => Number(amount.replace('.', ''));
const MAX_TOKENS = 12;
const CONTENT = 'Count from one to twenty, in words.';

it('spills within a budget that stops hard, and receipts, budget and bill add up', async () => {
  const { price } = await call('POST', '/pools', { modelId: MODEL, units: 1, rpm: 10_000, tpm: 10_000_000 });
  const { tenantId } = await call('POST', '/tenants', { name: 'flooded' });
  await call('POST', '/wallet/top-ups', { tenantId, amount: '100' });
  const { version: agreementVersion } = await call('GET', '/agreement');
  const models = [{ modelId: MODEL, units: 1 }];
  const own = await call('POST', '/endpoints', {
    tenantId,
    name: 'own',
    models,
    overflowPolicy: 'reject',
    agreementVersion,
  });
  const pooled = { tenantId, name: 'pool', accessMode: 'pay_per_token', models: [{ modelId: MODEL }] };
  const { endpointId: poolEndpointId } = await call('POST', '/endpoints', pooled);
  // Room for the worst case of three requests: each in fact costs a part of it.
  const worst = (CONTENT.length + 60) * micros(price.input.amount) + MAX_TOKENS * micros(price.output.amount);
  const budgetMicros = Math.ceil((3 * worst) / 1e6);
  const budgetAmount = (budgetMicros / 1e6).toFixed(6);
  const overflow = { tenantId, policy: 'spill', targets: ['pool'], budgetAmount, budgetPeriod: 'day' };
  await call('POST', `/endpoints/${own['endpointId']}/overflow`, overflow);
  const { key } = await call('POST', '/keys', { tenantId, name: 'app' });
  await until('units are ready', async () => {
    const endpoint = await call('GET', `/endpoints/${own['endpointId']}`);
    return endpoint['state'] === 'ready' && (await call('GET', '/pools'))['items'][0].unitsReady === 1;
  });

  const chat = new OpenAI({ baseURL: `${cubit.url}/v1`, apiKey: key, maxRetries: 0 });
  const messages = [{ role: 'user' as const, content: CONTENT }];
  const ask = async (i: number) => {
    try {
      const request = { model: 'own', messages, max_tokens: MAX_TOKENS };
      if (i % 2 === 0) return (await chat.chat.completions.create(request).withResponse()).response;
      const { data, response } = await chat.chat.completions.create({ ...request, stream: true }).withResponse();
      for await (const _chunk of data);
      return response;
    } catch (error) {
      if (error instanceof OpenAI.APIError && error.status === 429) return error.error as Json;
      throw error;
    }
  };
  const because: string[] = [];
  let spilled = 0;
  for (let round = 0; round < 8 && !because.includes('budget_used_up'); round += 1) {
    for (const answer of await Promise.all(Array.from({ length: 16 }, (_, i) => ask(i)))) {
      if (!('headers' in answer)) because.push(answer['details'].spill[0].because);
      else if ((answer['headers'] as Headers).get('x-cubit-spilled') === poolEndpointId) spilled += 1;
    }
  }
  expect(spilled).toBeGreaterThan(0);
  expect(because).toContain('budget_used_up');

  await until('nothing is on its way', async () => cubit.stats().active === 0);
  await cubit.flush();
  const receipts = (await call('GET', `/usage/receipts?tenantId=${tenantId}&limit=200`))['items'] as Json[];
  const went = receipts.filter((one) => one['spill'] !== null);
  expect(went).toHaveLength(spilled);
  expect(went.every((one) => one['endpointId'] === poolEndpointId)).toBe(true);
  const spentMicros = went.reduce((sum, one) => sum + one['spill'].costMicros, 0);
  expect(spentMicros).toBeLessThanOrEqual(budgetMicros);
  const { budget } = await call('GET', `/endpoints/${own['endpointId']}/overflow`);
  expect(budget).toMatchObject({ state: 'stopped', amount: { amount: budgetAmount } });
  expect(micros(budget.spent.amount)).toBe(spentMicros);
  expect(micros(budget.taken.amount)).toBeLessThanOrEqual(budgetMicros);

  clock.aheadMs = 2 * 3_600_000;
  await call('POST', '/bills/settle', {});
  const bills = (await call('GET', `/bills?tenantId=${tenantId}`))['items'] as Json[];
  let chargedMicros = 0;
  for (const { billId } of bills) {
    const { tokenLines } = await call('GET', `/bills/${billId}`);
    for (const line of tokenLines) if (line.endpointId === poolEndpointId) chargedMicros += micros(line.amount.amount);
  }
  // A receipt is rounded up to the micro, a bill rounds its sum once.
  expect(chargedMicros).toBeGreaterThan(spentMicros - went.length - 1);
  expect(chargedMicros).toBeLessThanOrEqual(spentMicros);
  expect(await cubit.checkLedger()).toMatchObject({ balanced: true, problems: [] });
  console.log(`spilled ${spilled}, ${spentMicros} of ${budgetMicros} micros spent, ${chargedMicros} billed`);
});
