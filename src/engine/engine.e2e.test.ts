import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { testWeights } from '../../test/fixtures.ts';
import { connectEngine } from './connect.ts';
import { type EngineHarness, engineContract } from './engine.case.ts';
import { type WorkerOptions, workerArguments } from './llama/options.ts';
import { WorkerProcess } from './llama/spawn.ts';
import { detectDialect } from './openai-http/detect.ts';
import type { EngineAddress } from './port.ts';

const workerPath = new URL('./llama/worker.ts', import.meta.url).pathname;

async function startWorker(listen: WorkerOptions['listen']): Promise<WorkerProcess> {
  const worker = {
    modelPath: await testWeights(),
    listen,
    contextTokens: 512,
    sequences: 4,
    // One: on a busy machine several threads wait for each other at every layer.
    threads: 1,
    name: 'smollm2',
    waitingMax: 16,
    kvFolder: null,
  };
  return new WorkerProcess({
    execPath: process.execPath,
    workerPath,
    arguments: workerArguments(worker),
    log: (line) => console.error(line),
  });
}

async function harness(worker: WorkerProcess, address: EngineAddress): Promise<EngineHarness> {
  const engine = connectEngine(address);
  const kill = async (): Promise<void> => {
    worker.kill('SIGKILL');
    await worker.exited;
  };
  const ready = async (): Promise<void> => {
    while (!(await engine.health(AbortSignal.timeout(5_000))).ok)
      await new Promise((resolve) => setTimeout(resolve, 50));
  };
  const died = worker.exited.then(({ reason }) => Promise.reject(new Error(reason)));
  died.catch(() => undefined);
  await Promise.race([ready(), died]);
  return { engine, kill, close: () => kill().then(() => engine.close()) };
}

async function onTcp(): Promise<{ worker: WorkerProcess; url: string }> {
  const worker = await startWorker({ host: '127.0.0.1', port: 0 });
  return { worker, url: await worker.listening };
}

engineContract('llama', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'cubit-test-'));
  const socketPath = join(folder, 's');
  const started = await harness(await startWorker({ socketPath }), { kind: 'llama', socketPath });
  return { ...started, close: () => started.close().then(() => rm(folder, { recursive: true })) };
});

engineContract('openai-http', async () => {
  const { worker, url } = await onTcp();
  return harness(worker, { kind: 'openai-http', url, model: 'smollm2', apiKey: null, dialect: 'cubit' });
});

it('refuses what it has no room for; drains on SIGTERM: the running stream ends whole, the process exits', async () => {
  const { worker, url } = await onTcp();
  const { engine, close } = await harness(worker, {
    kind: 'openai-http',
    url: `${url}/v1`,
    model: 'smollm2',
    apiKey: null,
    dialect: 'cubit',
  });
  try {
    expect(await detectDialect(url, null)).toEqual({ dialect: 'cubit', models: ['smollm2'], contextTokens: 512 });
    const body = { messages: [{ role: 'user', content: 'Count.' }], max_tokens: 24, temperature: 0, stream: true };
    const asked = { kind: 'chat', body, requestId: 'req-1', cacheSalt: '' } as const;
    const { signal } = new AbortController();
    const leave = new AbortController();
    const crowd = Array.from({ length: 4 + 16 + 1 }, () => engine.send(asked, leave.signal));
    await expect(Promise.race(crowd)).rejects.toMatchObject({ code: 'engine_unavailable' });
    leave.abort();
    await Promise.allSettled(crowd);

    const reply = await engine.send(asked, signal);
    worker.kill('SIGTERM');
    while ((await engine.health(signal)).ok) await new Promise(setImmediate);
    await expect(engine.send(asked, signal)).rejects.toMatchObject({ code: 'engine_unavailable' });
    let text = '';
    for await (const chunk of reply.bytes) text += Buffer.from(chunk).toString();
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    expect((await worker.exited).reason).toContain('exited with code 0');
  } finally {
    await close();
  }
});

it('says why it cannot start', async () => {
  const worker = {
    modelPath: '/nowhere.gguf',
    listen: { host: '127.0.0.1', port: 0 },
    contextTokens: 512,
    sequences: 1,
  };
  const options = { ...worker, threads: 1, name: 'x', waitingMax: 1, kvFolder: null };
  const failed = new WorkerProcess({
    execPath: process.execPath,
    workerPath,
    arguments: workerArguments(options),
    log: () => undefined,
  });
  const { reason } = await failed.exited;
  expect(reason).toContain('exited with code 1');
  expect(reason).toContain('/nowhere.gguf');
});
