import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadConfig } from '../../src/config.ts';
import type { Json } from '../../src/control/fixture.ts';
import { PairServer, sendAnswer } from '../../src/gateway/pair-servers.ts';
import { createLog } from '../../src/log.ts';
import { type Cubit, startCubit } from '../../src/main.ts';
import { runCli, temporaryFolder, until } from './process.ts';

/** Two servers that speak vLLM's protocol of pairs are adopted by the CLI, sold as a unit, and serve through the gateway. */
const TEMPLATE = 'llama-3.3-70b-h100-x4-pd';
const GIVEN = { do_remote_prefill: true, remote_engine_id: 'e', remote_block_ids: [1, 2], remote_port: 5600 };
const usage = { prompt_tokens: 40, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 16 } };
const dataDir = temporaryFolder();
let cubit: Cubit;
let prefill: PairServer;
let decode: PairServer;

beforeAll(async () => {
  prefill = await new PairServer((body, reply) =>
    sendAnswer(body, reply, { usage, kv_transfer_params: GIVEN }),
  ).listen();
  decode = await new PairServer((body, reply) => sendAnswer(body, reply, { kv_transfer_params: null })).listen();
  const log = createLog({ level: 'warn', file: `${dataDir}/cubit.log` });
  const config = loadConfig({ dataDir, port: 0, demo: false });
  const getWeights = () => Promise.reject(new Error('nothing here runs on weights'));
  cubit = await startCubit(config, { log, getWeights, now: Date.now });
});

afterAll(async () => {
  await cubit?.close(0);
  await Promise.all([prefill?.kill(), decode?.kill()]);
});

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

async function adopt(server: PairServer, role: string): Promise<Json> {
  const flags = ['--json', '--data', dataDir, '--url', cubit.url];
  const { code, stderr, stdout } = await runCli([
    ...flags,
    'adopt',
    server.url,
    '--template',
    TEMPLATE,
    '--role',
    role,
  ]);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

it('an endpoint of a disaggregated template serves on an adopted pair', async () => {
  expect(await adopt(prefill, 'prefill')).toMatchObject({ items: [{ role: 'prefill', dialect: 'vllm', model: 'm' }] });
  const { capacity: half } = await call('GET', `/templates/${TEMPLATE}`);
  expect(half).toMatchObject({ freeUnits: 0 });
  expect(await adopt(decode, 'decode')).toMatchObject({ items: [{ role: 'decode' }] });
  const { tenantId } = await call('POST', '/tenants', { name: 'pairs' });
  await call('POST', '/wallet/top-ups', { tenantId, amount: '100000' });
  const models = [{ modelId: 'llama-3.3-70b-instruct', templateId: TEMPLATE, units: 1 }];
  const { version: agreementVersion } = await call('GET', '/agreement');
  const { endpointId } = await call('POST', '/endpoints', { tenantId, name: 'pair', models, agreementVersion });
  const { key } = await call('POST', '/keys', { tenantId, name: 'app' });
  await until('the unit is ready', async () => (await call('GET', `/endpoints/${endpointId}`))['state'] === 'ready');

  const chat = new OpenAI({ baseURL: `${cubit.url}/v1`, apiKey: key, maxRetries: 0 });
  const ask = { model: 'pair', messages: [{ role: 'user' as const, content: 'hi' }], max_tokens: 9 };
  const answer = await chat.chat.completions.create(ask);
  expect(answer.choices[0]?.message.content).toBe('A B');
  expect(prefill.asked.at(-1)).toMatchObject({ max_tokens: 1, kv_transfer_params: { do_remote_decode: true } });
  expect(decode.asked.at(-1)).toMatchObject({ max_tokens: 9, kv_transfer_params: GIVEN });
  // What the prefill machine had cached is what was cached, not what decode took over.
  expect(answer.usage).toMatchObject({ prompt_tokens: 40, prompt_tokens_details: { cached_tokens: 16 } });

  let streamed = '';
  for await (const chunk of await chat.chat.completions.create({ ...ask, stream: true })) {
    streamed += chunk.choices[0]?.delta.content ?? '';
  }
  expect(streamed).toBe('A B');

  await decode.kill();
  const refused = await chat.chat.completions.create(ask).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(OpenAI.APIError);
  expect((refused as InstanceType<typeof OpenAI.APIError>).status).toBeGreaterThanOrEqual(500);
});
