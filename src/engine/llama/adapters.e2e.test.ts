import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getLlama, type LlamaContext, LlamaLogLevel, type LlamaModel, type Token } from 'node-llama-cpp';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { testWeights } from '../../../test/fixtures.ts';
import { smolMatrices } from '../../../test/smol-matrices.ts';
import { writeAdapter } from '../../model-files/write-adapter.ts';
import { connectEngine } from '../connect.ts';
import type { Engine, EngineRequest } from '../port.ts';
import { workerArguments } from './options.ts';
import { WorkerProcess } from './spawn.ts';

const folder = mkdtempSync(join(tmpdir(), 'cubit-test-'));
const path = (seed: number) => join(folder, `${seed}.gguf`);
const PROMPTS = [
  'The capital of France is',
  'Once upon a time there was',
  'Water boils when',
  'My favourite colour is',
];
const TOKENS = 24;
let worker: WorkerProcess;
let engine: Engine;

beforeAll(async () => {
  for (const seed of [1, 2]) await writeAdapter(path(seed), smolMatrices(), { rank: 8, alpha: 16, seed, scale: 0.3 });
  const socketPath = join(folder, 's');
  const size = { contextTokens: 512, sequences: 4, threads: 1, waitingMax: 16 };
  const options = { ...size, modelPath: await testWeights(), listen: { socketPath }, name: 'smol', kvFolder: null };
  worker = new WorkerProcess({
    execPath: process.execPath,
    workerPath: new URL('./worker.ts', import.meta.url).pathname,
    arguments: workerArguments(options),
    log: console.error,
  });
  await worker.listening;
  engine = connectEngine({ kind: 'llama', socketPath });
  while (!(await engine.health(soon())).ok) await new Promise((resolve) => setTimeout(resolve, 50));
});

afterAll(async () => {
  worker?.kill('SIGKILL');
  await worker?.exited;
  await engine?.close();
  rmSync(folder, { recursive: true, force: true });
});

function soon(): AbortSignal {
  return AbortSignal.timeout(120_000);
}

async function answer(prompt: string, adapter?: string): Promise<string> {
  const body = { prompt, max_tokens: TOKENS, temperature: 0, ignore_eos: true };
  const named = adapter === undefined ? {} : { adapter };
  const request: EngineRequest = {
    kind: 'completion',
    body,
    requestId: 'r',
    cacheSalt: `t/${adapter ?? ''}`,
    ...named,
  };
  const reply = await engine.send(request, soon());
  const parts: Uint8Array[] = [];
  for await (const part of reply.bytes) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString()).choices[0].text;
}

/** Token by token, alone, in a context that was made with this adapter and nothing else. */
async function dedicated(model: LlamaModel, filePath: string | null): Promise<string[]> {
  const lora = filePath === null ? {} : { lora: { adapters: [{ filePath, scale: 1 }] } };
  const context: LlamaContext = await model.createContext({ contextSize: 512, sequences: 1, threads: 1, ...lora });
  const texts: string[] = [];
  const sequence = context.getSequence();
  for (const prompt of PROMPTS) {
    await sequence.clearHistory();
    const output: Token[] = [];
    const tokens = sequence.evaluate(model.tokenize(prompt, true), { temperature: 0, yieldEogToken: true });
    for await (const token of tokens) if (output.push(token) === TOKENS) break;
    texts.push(model.detokenize(output));
  }
  await context.dispose();
  return texts;
}

it('answers with adapters and without beside each other, each as a process of its own would', async () => {
  await expect(answer(PROMPTS[0]!, 'a1')).rejects.toMatchObject({ code: 'model_not_found' });
  await engine.loadAdapter({ name: 'a1', path: path(1) }, soon());
  await engine.loadAdapter({ name: 'a2', path: path(2) }, soon());
  await engine.loadAdapter({ name: 'a2', path: path(2) }, soon());

  // One after the other with each adapter, all three beside each other: the size of a batch changes the order in which
  // floats are added, and with it the outcome of near ties, so it has to be that of the model alone.
  const chain = async (adapter?: string) => {
    const texts: string[] = [];
    for (const prompt of PROMPTS) texts.push(await answer(prompt, adapter));
    return texts;
  };
  const [base, first, second] = await Promise.all([chain(), chain('a1'), chain('a2')]);
  const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: 1 });
  const model = await llama.loadModel({ modelPath: await testWeights() });
  const [alone, alone1, alone2] = [
    await dedicated(model, null),
    await dedicated(model, path(1)),
    await dedicated(model, path(2)),
  ];
  await model.dispose();
  expect(base).toEqual(alone);
  expect(first).toEqual(alone1);
  expect(second).toEqual(alone2);
  // A second prompt of the same beginning reuses the adapter's own prefix, not the base's.
  expect(await answer(PROMPTS[0]!, 'a1')).toBe(alone1[0]);
  expect(new Set([alone[0], alone1[0], alone2[0]]).size).toBe(3);
});

it('keeps an adapter that is in use, and refuses files that are none', async () => {
  const running = answer('A long story about the sea', 'a1');
  while ((await engine.metrics(soon())).running === 0) await new Promise(setImmediate);
  await expect(engine.unloadAdapter('a1', soon())).rejects.toMatchObject({ code: 'conflict' });
  await running;
  await engine.unloadAdapter('a1', soon());
  await expect(answer(PROMPTS[0]!, 'a1')).rejects.toMatchObject({ code: 'model_not_found' });
  await engine.unloadAdapter('a1', soon());
  await expect(engine.loadAdapter({ name: 'b', path: join(folder, 'nothing.gguf') }, soon())).rejects.toMatchObject({
    code: 'invalid_request',
  });
  expect(await answer(PROMPTS[1]!, 'a2')).not.toBe('');
});
