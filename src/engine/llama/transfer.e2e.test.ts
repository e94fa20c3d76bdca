import { randomUUID } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testWeights } from '../../../test/fixtures.ts';
import { connectEngine } from '../connect.ts';
import type { Engine, EngineRequest } from '../port.ts';
import { workerArguments } from './options.ts';
import { WorkerProcess } from './spawn.ts';

const workerPath = new URL('./worker.ts', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'cubit-test-'));
const kvFolder = mkdtempSync(join(tmpdir(), 'cubit-test-kv-'));
const workers: WorkerProcess[] = [];
let unified: Engine;
let prefill: Engine;
let decode: Engine;

async function start(name: string, kv: string | null): Promise<Engine> {
  const socketPath = join(folder, name);
  const size = { contextTokens: 1024, sequences: 2, threads: 1, waitingMax: 8 };
  const worker = { ...size, modelPath: await testWeights(), listen: { socketPath }, name, kvFolder: kv };
  const process_ = new WorkerProcess({
    execPath: process.execPath,
    workerPath,
    arguments: workerArguments(worker),
    log: console.error,
  });
  workers.push(process_);
  await process_.listening;
  const engine = connectEngine({ kind: 'llama', socketPath });
  while (!(await engine.health(soon())).ok) await new Promise((resolve) => setTimeout(resolve, 50));
  return engine;
}

beforeAll(async () => {
  unified = await start('unified', null);
  prefill = await start('prefill', kvFolder);
  decode = await start('decode', kvFolder);
});

afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.exited));
  await Promise.all([unified, prefill, decode].map((engine) => engine?.close()));
  for (const path of [folder, kvFolder]) rmSync(path, { recursive: true, force: true });
});

function soon(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

function asked(body: Record<string, unknown>, transfer?: Record<string, unknown>): EngineRequest {
  const common = { kind: 'chat', requestId: 'r', cacheSalt: 'tenant' } as const;
  return { ...common, body: { temperature: 0, ...body }, ...(transfer === undefined ? {} : { transfer }) };
}

async function textOf(engine: Engine, request: EngineRequest): Promise<string> {
  const reply = await engine.send(request, soon());
  const parts: Uint8Array[] = [];
  for await (const part of reply.bytes) parts.push(part);
  return Buffer.concat(parts).toString();
}

async function give(body: Record<string, unknown>): Promise<Record<string, unknown>> {
  const first = { ...body, stream: false, max_tokens: 1 };
  const text = await textOf(prefill, asked(first, { kv_transfer_params: { do_remote_decode: true } }));
  return JSON.parse(text).kv_transfer_params;
}

/** A stream's chunks, which carry one token each, with finish and usage, without ids and times. */
async function chunksOf(engine: Engine, body: Record<string, unknown>, transfer?: Record<string, unknown>) {
  const text = await textOf(engine, asked({ ...body, stream: true }, transfer));
  const events = text.split('\n\n').filter((event) => event.startsWith('data: {'));
  return events.map((event) => {
    const { choices, usage } = JSON.parse(event.slice('data: '.length));
    return { choices, usage };
  });
}

const STORY = 'The river runs past the mill, the bridge and the old town. '.repeat(20);

it.each([
  ['a short question', { messages: [{ role: 'user', content: 'Name three colours.' }], max_tokens: 40 }],
  ['a prompt of several steps', { messages: [{ role: 'user', content: `${STORY} What runs?` }], max_tokens: 60 }],
  ['a single token', { messages: [{ role: 'user', content: 'Say yes.' }], max_tokens: 1 }],
  ['a stop string', { messages: [{ role: 'user', content: 'Count from one to ten.' }], max_tokens: 40, stop: ['3'] }],
  [
    'penalties',
    {
      messages: [{ role: 'user', content: 'Write about rain.' }],
      max_tokens: 40,
      repetition_penalty: 1.3,
      frequency_penalty: 0.5,
    },
  ],
])('answers token by token as one worker does: %s', async (_, body) => {
  const alone = await chunksOf(unified, body);
  const handed = await chunksOf(decode, body, { kv_transfer_params: await give(body) });
  expect(handed).toEqual(alone);
  expect(alone.length).toBeGreaterThan(2);
  expect(readdirSync(kvFolder)).toEqual([]);
});

it('reuses a prefix of an earlier prompt on the prefill worker, and says so in the end', async () => {
  const turns = [{ role: 'user', content: 'My name is Ada. Remember it.' }];
  const first = { messages: turns, max_tokens: 8 };
  await chunksOf(decode, first, { kv_transfer_params: await give(first) });
  const next = {
    messages: [...turns, { role: 'assistant', content: 'I will.' }, { role: 'user', content: 'Who am I?' }],
  };
  const body = { ...next, max_tokens: 20 };
  const params = await give(body);
  const chunks = await chunksOf(decode, body, { kv_transfer_params: params });
  expect(params['cached_tokens']).toBeGreaterThan(10);
  expect(chunks.at(-1)?.usage.prompt_tokens_details.cached_tokens).toBe(params['cached_tokens']);
});

it('serves streams beside each other while states come and go', async () => {
  const topics = ['bread', 'chess', 'rain', 'rivers'];
  const bodies = topics.map((topic) => ({
    messages: [{ role: 'user', content: `One sentence about ${topic}.` }],
    max_tokens: 16,
  }));
  const answers = await Promise.all(
    bodies.map(async (body) => chunksOf(decode, body, { kv_transfer_params: await give(body) })),
  );
  for (const chunks of answers) expect(chunks.at(-1)?.usage.completion_tokens).toBeGreaterThan(1);
  expect(new Set(answers.map((chunks) => JSON.stringify(chunks))).size).toBe(topics.length);
});

it('refuses a state that is gone, garbage or of another prompt, and goes on', async () => {
  const body = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 4 };
  const other = { messages: [{ role: 'user', content: 'Good evening to you' }], max_tokens: 4 };
  const params = await give(body);
  await expect(chunksOf(decode, other, { kv_transfer_params: params })).rejects.toMatchObject({
    code: 'engine_failed',
  });
  await expect(chunksOf(decode, body, { kv_transfer_params: params })).rejects.toMatchObject({
    code: 'engine_unavailable',
  });
  const name = randomUUID();
  writeFileSync(join(kvFolder, `${name}.kv`), 'garbage');
  await expect(chunksOf(decode, body, { kv_transfer_params: { ...params, remote_state: name } })).rejects.toMatchObject(
    { code: 'engine_failed' },
  );
  await expect(
    chunksOf(decode, body, { kv_transfer_params: { ...params, remote_state: '../../etc/passwd' } }),
  ).rejects.toMatchObject({ code: 'invalid_request' });
  const [here, elsewhere] = [await chunksOf(decode, body), await chunksOf(unified, body)];
  expect(here.map(({ choices }) => choices)).toEqual(elsewhere.map(({ choices }) => choices));
});

it('hands nothing over where it was not told where to', async () => {
  const body = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1 };
  const transfer = { kv_transfer_params: { do_remote_decode: true } };
  await expect(textOf(unified, asked(body, transfer))).rejects.toMatchObject({ code: 'unsupported_feature' });
});
