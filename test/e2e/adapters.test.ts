import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeAdapter } from '../../src/model-files/write-adapter.ts';
import { testWeights } from '../fixtures.ts';
import { writeScaledWeights } from '../scaled-weights.ts';
import { smolMatrices } from '../smol-matrices.ts';
import { type Running, runCli, startUp, temporaryFolder, until } from './process.ts';

/** What a tenant does with models of its own, by the CLI and the OpenAI SDK, on the real engine. */
let cubit: Running;
const folder = temporaryFolder();

beforeAll(async () => {
  await writeAdapter(join(folder, 'sea.gguf'), smolMatrices(), { rank: 8, alpha: 16, seed: 1, scale: 0.3 });
  // Ten layers of which nothing but attention is left.
  await writeScaledWeights(await testWeights(), join(folder, 'tuned.gguf'), /^blk\.1\d\.ffn_norm\.weight$/, 0);
  cubit = await startUp(temporaryFolder(), { CUBIT_WORKERS_MAX: '2', CUBIT_MODEL_FOLDERS: folder });
});
afterAll(async () => {
  await cubit?.stop('SIGKILL');
});

async function cli(...args: string[]) {
  const { apiKey: _, tenantId, dataDir, url } = cubit.ready;
  const done = await runCli(['--json', '--data', dataDir, '--url', url, '--tenant', tenantId, ...args]);
  if (done.code !== 0) throw new Error(`cubit ${args.join(' ')}: ${done.stdout}${done.stderr}`);
  return JSON.parse(done.stdout);
}

function answerOf(model: string) {
  const client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 1 });
  return client.completions.create({ model, prompt: 'The capital of France is', max_tokens: 12, temperature: 0 });
}

it('an adapter answers as endpoint:adapter, beside the base, with its own work on the receipt', async () => {
  const before = await answerOf('demo');
  const base = ['--base-model-id', 'smollm2-135m-instruct'];
  const model = await cli('model', 'register', 'sea', ...base, '--source', join(folder, 'sea.gguf'));
  await cli('adapter', 'add', 'demo', '--model-id', 'sea');
  await until('the gateway knows it', () =>
    answerOf('demo:sea').then(
      () => true,
      () => false,
    ),
  );
  const adapted = await answerOf('demo:sea');
  expect(adapted.choices[0]?.text).not.toBe(before.choices[0]?.text);
  expect((await answerOf('demo')).choices[0]?.text).toBe(before.choices[0]?.text);
  const told = (adapted.usage as unknown as { cubit: { adapter: string; estimated: { decode_us: number } } }).cubit;
  const plain = (before.usage as unknown as { cubit: { estimated: { decode_us: number } } }).cubit;
  expect(told.adapter).toBe(model.modelId);
  // The template's measured factor of rank 8.
  expect(told.estimated.decode_us).toBeGreaterThan(plain.estimated.decode_us);
  await cli('adapter', 'remove', 'demo', 'sea');
  await until('it is gone', () =>
    answerOf('demo:sea').then(
      () => false,
      () => true,
    ),
  );
});

it('a fully fine-tuned model runs on a template of its base, and answers as its own weights do', async () => {
  const base = ['--base-model-id', 'smollm2-135m-instruct', '--kind', 'full'];
  const own = await cli('model', 'register', 'tuned', ...base, '--source', join(folder, 'tuned.gguf'));
  const { dataDir, tenantId, url } = cubit.ready;
  const operatorToken = readFileSync(join(dataDir, 'operator-token'), 'utf8').trim();
  const models = [{ modelId: 'smollm2-135m-instruct', units: 1, ownModelId: 'tuned' }];
  const reply = await fetch(`${url}/api/v1/endpoints`, {
    method: 'POST',
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ tenantId, name: 'tuned', models }),
  });
  expect(reply.status).toBeLessThan(300);
  expect(await reply.json()).toMatchObject({ models: [{ ownModelId: own.modelId }] });
  await until(
    'it serves',
    () =>
      answerOf('tuned').then(
        () => true,
        () => false,
      ),
    120_000,
  );
  const [tuned, again, plain] = [await answerOf('tuned'), await answerOf('tuned'), await answerOf('demo')];
  expect(tuned.choices[0]?.text).toBe(again.choices[0]?.text);
  expect(tuned.choices[0]?.text).not.toBe(plain.choices[0]?.text);
});
