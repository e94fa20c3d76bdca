import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testWeights } from '../../../test/fixtures.ts';
import { connectEngine } from '../connect.ts';
import type { Engine } from '../port.ts';
import { CACHE_SOCKET_SUFFIX } from './cache-client.ts';
import { poolFolderOf } from './cache-server.ts';
import { workerArguments } from './options.ts';
import { WorkerProcess } from './spawn.ts';

/** Two prefill workers that share a cache worker, a decode worker, and one that does all by itself. */
const kvFolder = mkdtempSync(join(tmpdir(), 'cubit-test-kv-'));
const cacheSocket = join(kvFolder, `1${CACHE_SOCKET_SUFFIX}`);
const CACHE_BYTES = 16 * 2 ** 20;
const workers: WorkerProcess[] = [];
const engines: Engine[] = [];
let cache: WorkerProcess;
let unified: Engine;
let prefills: readonly [Engine, Engine];
let decode: Engine;

async function start(script: string, socketPath: string, args: readonly string[]): Promise<[Engine, WorkerProcess]> {
  const workerPath = new URL(script, import.meta.url).pathname;
  const worker = new WorkerProcess({ execPath: process.execPath, workerPath, arguments: args, log: () => {} });
  workers.push(worker);
  await worker.listening;
  const engine = connectEngine({ kind: 'llama', socketPath });
  engines.push(engine);
  while (!(await engine.health(soon())).ok) await new Promise((resolve) => setTimeout(resolve, 50));
  return [engine, worker];
}

async function engineWorker(name: string, kv: string | null): Promise<Engine> {
  const socketPath = join(kvFolder, `${name}.sock`);
  const size = { contextTokens: 1024, sequences: 2, threads: 1, waitingMax: 8 };
  const options = { modelPath: await testWeights(), ...size, listen: { socketPath }, name, kvFolder: kv };
  return (await start('./worker.ts', socketPath, workerArguments(options)))[0];
}

beforeAll(async () => {
  const args = ['--socket', cacheSocket, '--kv-folder', kvFolder, '--cache-bytes', String(CACHE_BYTES)];
  [, cache] = await start('./cache-worker.ts', cacheSocket, args);
  unified = await engineWorker('unified', null);
  prefills = [await engineWorker('prefill-1', kvFolder), await engineWorker('prefill-2', kvFolder)];
  decode = await engineWorker('decode', kvFolder);
});

afterAll(async () => {
  for (const worker of workers) worker.kill('SIGKILL');
  await Promise.all(workers.map((worker) => worker.exited));
  await Promise.all(engines.map((engine) => engine.close()));
  rmSync(kvFolder, { recursive: true, force: true });
});

function soon(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

async function ask(
  engine: Engine,
  content: string,
  salt: string,
  more: object = {},
  transfer?: Record<string, unknown>,
) {
  const body = { messages: [{ role: 'user', content }], temperature: 0, max_tokens: 24, ...more };
  const request = { kind: 'chat', body, requestId: 'r', cacheSalt: salt, ...(transfer && { transfer }) } as const;
  const parts: Uint8Array[] = [];
  for await (const part of (await engine.send(request, soon())).bytes) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString());
}

/** By a prefill worker and the decode worker. */
async function askPair(prefill: Engine, content: string, salt: string) {
  const give = { kv_transfer_params: { do_remote_decode: true } };
  const { kv_transfer_params } = await ask(prefill, content, salt, { max_tokens: 1 }, give);
  const { choices, usage } = await ask(decode, content, salt, {}, { kv_transfer_params });
  return { text: choices[0].message.content, usage, cached: usage.prompt_tokens_details.cached_tokens };
}

const pooled = () => (existsSync(poolFolderOf(cacheSocket)) ? readdirSync(poolFolderOf(cacheSocket)) : []);

async function until(holds: () => boolean): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > endMs) throw new Error('It did not come true in time.');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const TEXT = 'The mill stands by the river and turns slowly while the town sleeps. '.repeat(15);

it('lends a beginning that one prefill worker evaluated to another, and the answer is that of one worker', async () => {
  const alone = [await ask(unified, `${TEXT}What turns?`, 'a'), await ask(unified, `${TEXT}Who sleeps, and why?`, 'a')];
  const first = await askPair(prefills[0], `${TEXT}What turns?`, 'a');
  await until(() => pooled().length === 1);
  const second = await askPair(prefills[1], `${TEXT}Who sleeps, and why?`, 'a');
  expect([first.text, second.text]).toEqual(alone.map(({ choices }) => choices[0].message.content));
  expect([first.usage, second.usage]).toEqual(alone.map(({ usage }) => usage));
  expect(second.cached).toBeGreaterThan(150);
});

it('lends nothing to another salt', async () => {
  await until(() => pooled().length > 0);
  expect((await askPair(prefills[1], `${TEXT}What turns?`, 'b')).cached).toBe(0);
});

it('holds no more bytes than it may, and leaves no state behind in between', async () => {
  for (const topic of ['bread', 'chess', 'rain']) {
    await askPair(prefills[0], `${topic}: ${TEXT}`, 'a');
    await askPair(prefills[1], `More ${topic}: ${TEXT}`, 'a');
  }
  await until(() => readdirSync(kvFolder).every((file) => !/\.(kv|taken)$/.test(file)));
  const sizes = pooled().map((name) => statSync(join(poolFolderOf(cacheSocket), name)).size);
  expect(sizes.length).toBeGreaterThan(0);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(CACHE_BYTES);
});

it('is done without when it is killed', async () => {
  cache.kill('SIGKILL');
  await cache.exited;
  const alone = await ask(unified, `Once: ${TEXT}`, 'c');
  const { text, cached } = await askPair(prefills[0], `Once: ${TEXT}`, 'c');
  expect([text, cached]).toEqual([alone.choices[0].message.content, 0]);
});
