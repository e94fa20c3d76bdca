import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Json } from '../../src/control/fixture.ts';
import { createLog } from '../../src/log.ts';
import { type Cubit, startCubit } from '../../src/main.ts';
import { testWeights } from '../fixtures.ts';
import { temporaryFolder, until } from './process.ts';

/** Two tenants pay one pool of the real engine by the token; their bills are worked out from their receipts by hand. */
const MODEL = 'smollm2-135m-instruct';
const clock = { aheadMs: 0 };
const dataDir = temporaryFolder();
let cubit: Cubit;

beforeAll(async () => {
  const log = createLog({ level: 'warn', file: `${dataDir}/cubit.log` });
  const config = loadConfig({ dataDir, port: 0, demo: false });
  const now = () => Date.now() + clock.aheadMs;
  cubit = await startCubit(config, { log, getWeights: () => testWeights(), now });
});

afterAll(() => cubit?.close(0));

interface Tenant {
  readonly tenantId: string;
  readonly chat: OpenAI;
}

async function tenantOnPool(name: string): Promise<Tenant> {
  const { tenantId } = await call('POST', '/tenants', { name });
  await call('POST', '/wallet/top-ups', { tenantId, amount: '10' });
  const models = [{ modelId: MODEL }];
  await call('POST', '/endpoints', { tenantId, name: 'tokens', accessMode: 'pay_per_token', models });
  const { key } = await call('POST', '/keys', { tenantId, name: 'app' });
  return {
    tenantId,
    chat: new OpenAI({ baseURL: `${cubit.url}/v1`, apiKey: key, maxRetries: 0, defaultHeaders: PATIENT }),
  };
}

/** A busy machine makes an answer late, not a refusal. */
const PATIENT = { 'x-cubit-max-wait-ms': '600000' };

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

/** Long enough for whole blocks of an engine's prefix cache. */
const PROMPT = `Answer in one word. ${'The sky over the harbour was grey and the gulls were loud. '.repeat(12)}`;

function ask({ chat }: Tenant, stream = false) {
  const messages = [{ role: 'user' as const, content: PROMPT }];
  return stream
    ? chat.chat.completions.create({ model: 'tokens', messages, max_tokens: 12, stream: true })
    : chat.chat.completions.create({ model: 'tokens', messages, max_tokens: 12 });
}

it('shares units and no prefix cache, keeps each to its minute, and bills each its own tokens exactly', async () => {
  const pool = await call('POST', '/pools', { modelId: MODEL, units: 1, rpm: 6, tpm: 50_000 });
  const [a, b] = [await tenantOnPool('a'), await tenantOnPool('b')];
  await until('the pool is ready', async () => (await call('GET', '/pools'))['items'][0].unitsReady === 1);

  // The same prompt: b finds nothing of a's in the cache, a finds its own.
  const cachedOf = async (tenant: Tenant) => {
    const answer = (await ask(tenant)) as OpenAI.ChatCompletion;
    return answer.usage?.prompt_tokens_details?.cached_tokens ?? 0;
  };
  expect(await cachedOf(a)).toBe(0);
  expect(await cachedOf(b)).toBe(0);
  expect(await cachedOf(a)).toBeGreaterThan(50);

  // A whole stream, and one that its client leaves.
  for await (const _chunk of (await ask(a, true)) as AsyncIterable<unknown>);
  for await (const _chunk of (await ask(b, true)) as AsyncIterable<unknown>) break;

  // However slow the machine, no more than six in a minute; b is not touched by a's flood.
  const flood = await Promise.allSettled(Array.from({ length: 8 }, () => ask(a)));
  const refused = flood.flatMap((one) =>
    one.status === 'rejected' ? [one.reason as InstanceType<typeof OpenAI.APIError>] : [],
  );
  expect(refused.length).toBeGreaterThanOrEqual(2);
  expect(refused[0]).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  expect(Number(refused[0]?.headers?.get('retry-after'))).toBeGreaterThan(0);
  expect(((await ask(b)) as OpenAI.ChatCompletion).choices).toHaveLength(1);

  await until('nothing is on its way', async () => cubit.stats().active === 0);
  await cubit.flush();
  clock.aheadMs = 2 * 3_600_000;
  await call('POST', '/bills/settle', {});

  const { price } = pool as { price: Record<'input' | 'cachedInput' | 'output', { amount: string }> };
  const micros = (amount: string) => BigInt(amount.replace('.', ''));
  for (const { tenantId } of [a, b]) {
    const receipts = (await call('GET', `/usage/receipts?tenantId=${tenantId}&limit=200`))['items'] as Json[];
    const paid = receipts.filter(({ outcome }) => outcome === 'completed' || outcome === 'cancelled');
    const millionths = paid.reduce(
      (sum, { promptTokens, cachedTokens, outputTokens }) =>
        sum +
        BigInt(promptTokens - cachedTokens) * micros(price.input.amount) +
        BigInt(cachedTokens) * micros(price.cachedInput.amount) +
        BigInt(outputTokens) * micros(price.output.amount),
      0n,
    );
    const bills = (await call('GET', `/bills?tenantId=${tenantId}`))['items'] as Json[];
    const charged = bills.reduce((sum, { amount }) => sum + micros(amount.amount), 0n);
    expect(charged).toBeGreaterThan(0n);
    const rest = millionths - charged * 1_000_000n;
    expect(rest >= -500_000n && rest <= 500_000n, `${millionths} against ${charged}`).toBe(true);
    const wallet = await call('GET', `/wallet?tenantId=${tenantId}`);
    expect(micros(wallet['balance'].amount)).toBe(10_000_000n - charged);
    const { tokenLines } = await call('GET', `/bills/${bills[0]!['billId']}`);
    expect(tokenLines[0].arithmetic).toContain('CNY/million');
  }
  expect(await cubit.checkLedger()).toMatchObject({ balanced: true, problems: [] });
});
