import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { promisify } from 'node:util';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childrenOf, type Running, runCli, startUp, temporaryFolder, until } from './process.ts';

/** The main job as a person does it: start, call, see the receipt, buy, get the bill, stop, start again. */
const dataDir = temporaryFolder();
let cubit: Running;
let apiKey = '';
let client: OpenAI;

const cubitCli = (...args: string[]) => runCli(['--data', dataDir, '--url', cubit.ready.url, ...args]);
const json = async (...args: string[]) => {
  const result = await cubitCli('--json', ...args);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
};

beforeAll(async () => {
  cubit = await startUp(dataDir);
  apiKey = cubit.ready.apiKey ?? '';
  client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey, maxRetries: 0 });
});

afterAll(async () => {
  await cubit?.stop('SIGKILL');
});

describe('the main job on the real engine', () => {
  it('shows a key that works from curl', async () => {
    expect(apiKey).toMatch(/^sk-cubit-/);
    const body = { model: 'demo', messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 8 };
    const { stdout } = await promisify(execFile)('curl', [
      ...['-sS', '-i', `${cubit.ready.url}/v1/chat/completions`, '-H', `authorization: Bearer ${apiKey}`],
      ...['-H', 'content-type: application/json', '-d', JSON.stringify(body)],
    ]);
    expect(stdout).toMatch(/^HTTP\/1.1 200/);
    expect(stdout).toMatch(/x-request-id: req-/);
    const reply = JSON.parse(stdout.slice(stdout.indexOf('\r\n\r\n')));
    expect(reply.choices[0].message.content.length).toBeGreaterThan(0);
    expect(reply.usage.completion_tokens).toBeLessThanOrEqual(8);
    expect(reply.usage.cubit.actual.prefill_us).toBeGreaterThan(0);
  });

  it('streams to the official SDK, with the receipt in the last chunk', async () => {
    const stream = await client.chat.completions.create({
      model: 'demo',
      messages: [{ role: 'user', content: 'Count from one to five.' }],
      max_tokens: 16,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text.length).toBeGreaterThan(0);
    expect(usage?.completion_tokens).toBeGreaterThan(0);
    const receipt = (usage as unknown as { cubit: { estimated: object; actual: { decode_us: number } } }).cubit;
    expect(receipt.actual.decode_us).toBeGreaterThan(0);
  });

  it('answers completions, embeddings and models, under Ark’s prefix too', async () => {
    const completion = await client.completions.create({ model: 'demo', prompt: 'Once upon a time', max_tokens: 6 });
    expect(completion.choices[0]?.text.length).toBeGreaterThan(0);
    const embedding = await client.embeddings.create({ model: 'demo', input: 'hello' });
    expect(embedding.data[0]?.embedding).toHaveLength(576);
    expect((await client.models.list()).data.map((model) => model.id)).toEqual(['demo']);
    const ark = new OpenAI({ baseURL: `${cubit.ready.url}/api/v3`, apiKey, maxRetries: 0 });
    const reply = await ark.chat.completions.create({
      model: 'demo',
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 4,
    });
    expect(reply.usage?.completion_tokens).toBeGreaterThan(0);
  });

  it('reuses a prefix and charges less prefill for it', async () => {
    const ask = () =>
      client.chat.completions.create({
        model: 'demo',
        messages: [
          { role: 'user', content: 'The same long question about the sea, the wind and the ships, asked twice.' },
        ],
        max_tokens: 2,
        temperature: 0,
      });
    const cost = (reply: OpenAI.ChatCompletion) =>
      (reply.usage as unknown as { cubit: { actual: { prefill_us: number } } }).cubit.actual.prefill_us;
    const first = await ask();
    const second = await ask();
    expect(second.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(10);
    expect(cost(second)).toBeLessThan(cost(first));
  });

  it('refuses by name what the engine cannot honour, and a prompt over the context', async () => {
    const base = { model: 'demo', messages: [{ role: 'user' as const, content: 'Hi' }], max_tokens: 2 };
    await expect(client.chat.completions.create({ ...base, n: 2, logprobs: true })).rejects.toMatchObject({
      status: 400,
      code: 'unsupported_feature',
      message: expect.stringMatching(/logprobs.*n|n.*logprobs/),
    });
    await expect(
      client.chat.completions.create({ ...base, messages: [{ role: 'user', content: 'word '.repeat(6000) }] }),
    ).rejects.toMatchObject({ status: 400, code: 'context_length_exceeded' });
    await expect(client.chat.completions.create({ ...base, model: 'nothing' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    const stranger = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: 'sk-cubit-wrong', maxRetries: 0 });
    await expect(stranger.chat.completions.create(base)).rejects.toMatchObject({
      status: 401,
      code: 'invalid_api_key',
    });
  });

  it('serves metrics and health, and writes no prompt text to its log', async () => {
    const secret = 'xylophone-quartz-sphinx';
    await client.chat.completions.create({
      model: 'demo',
      messages: [{ role: 'user', content: secret }],
      max_tokens: 2,
    });
    const metrics = await (await fetch(`${cubit.ready.url}/metrics`)).text();
    expect(metrics).toMatch(/cubit_requests_total\{[^}]*outcome="completed"[^}]*\} \d+/);
    for (const path of ['/healthz', '/readyz']) expect((await fetch(cubit.ready.url + path)).status).toBe(200);
    expect(cubit.log()).toContain('started');
    expect(cubit.log()).not.toContain(secret);
    expect(cubit.log()).not.toContain(apiKey);
  });

  it('is steered by the CLI: tenants, keys, units, usage, bills', async () => {
    expect((await json('tenant', 'list')).items).toHaveLength(1);
    const key = await json('key', 'create', 'second');
    const second = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: key.key ?? key.apiKey, maxRetries: 0 });
    await until(
      'the new key works',
      () =>
        second.models.list().then(
          () => true,
          () => false,
        ),
      5_000,
    );
    await json('key', 'revoke', key.keyId);
    await until(
      'the revoked key is refused',
      () =>
        second.models.list().then(
          () => false,
          (error) => error.status === 401,
        ),
      5_000,
    );
    const endpoints = await json('endpoint', 'list');
    expect(endpoints.items).toHaveLength(1);
    const preview = await json('bill', 'preview');
    expect(JSON.stringify(preview)).toMatch(/÷ 3600/);
    const summary = await json('usage', 'summary');
    expect(JSON.stringify(summary)).toMatch(/completed/);
    const human = await cubitCli('endpoint', 'list');
    expect(human.stdout).toMatch(/demo/);
  });

  it('answers wrong usage with a line that helps, and the right exit code', async () => {
    expect(await cubitCli('endpont', 'list')).toMatchObject({ code: 2, stderr: expect.stringMatching(/endpoint/) });
    expect(await cubitCli('key', 'create')).toMatchObject({ code: 2 });
    const missing = await cubitCli('endpoint', 'show', 'ep-0000000000000000');
    expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/not_found/) });
    const nobody = await runCli(['--data', dataDir, '--url', 'http://127.0.0.1:9', 'tenant', 'list']);
    expect(nobody).toMatchObject({ code: 1, stderr: expect.stringMatching(/No Cubit answers/) });
  });

  it('refuses a taken port, a taken data folder and bad settings in one clear line', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await until('the port is taken', () => taken.listening);
    const port = String((taken.address() as { port: number }).port);
    const one = (stderr: string) => stderr.split('\n').filter((line) => line.startsWith('cubit:'));
    const onPort = await runCli(['--data', temporaryFolder(), 'up', '--port', port]);
    taken.close();
    expect(onPort.code).toBe(1);
    expect(one(onPort.stderr)).toEqual([expect.stringMatching(new RegExp(`${port}.*port_in_use`))]);
    const onFolder = await runCli(['--data', dataDir, 'up', '--port', '0']);
    expect(onFolder.code).toBe(1);
    expect(one(onFolder.stderr)).toEqual([expect.stringMatching(/in use.*data_folder_locked/)]);
    const badSetting = await runCli(['--data', dataDir, 'up'], { CUBIT_PORT: 'eighty' });
    expect(badSetting.code).toBe(1);
    expect(one(badSetting.stderr)).toEqual([expect.stringMatching(/CUBIT_PORT.*config_invalid/)]);
  });

  it('lets a stream finish on Ctrl-C, stops its workers, and starts again with the same state', async () => {
    const workers = childrenOf(cubit.ready.pid);
    expect(workers.length).toBeGreaterThan(0);
    const stream = await client.chat.completions.create({
      model: 'demo',
      messages: [{ role: 'user', content: 'Tell a story about a lighthouse.' }],
      max_tokens: 60,
      stream: true,
    });
    const chunks = stream[Symbol.asyncIterator]();
    await chunks.next();
    await chunks.next();
    const exited = cubit.stop('SIGINT');
    let finish: string | null | undefined;
    for (let next = await chunks.next(); !next.done; next = await chunks.next()) {
      finish = next.value.choices[0]?.finish_reason ?? finish;
    }
    expect(['stop', 'length']).toContain(finish);
    expect(await exited).toBe(0);
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow();

    const startedAt = performance.now();
    cubit = await startUp(dataDir);
    console.log(`second start: ready in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
    expect(cubit.ready.apiKey).toBeNull();
    expect((await json('endpoint', 'list')).items).toHaveLength(1);
    const again = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey, maxRetries: 0 });
    const reply = await again.chat.completions.create({
      model: 'demo',
      messages: [{ role: 'user', content: 'Hello again' }],
      max_tokens: 4,
    });
    expect(reply.usage?.completion_tokens).toBeGreaterThan(0);
  });

  it('survives kill -9: no orphan worker, same endpoint, billing goes on from the same second', async () => {
    const before = await json('group', 'list');
    const workers = childrenOf(cubit.ready.pid);
    await cubit.stop('SIGKILL');
    await until('the workers are gone', () =>
      workers.every((pid) => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      }),
    );
    cubit = await startUp(dataDir);
    const after = await json('group', 'list');
    expect(after.items).toHaveLength(1);
    expect(after.items[0].groupId).toBe(before.items[0].groupId);
    expect(after.items[0].billedFromMs).toBe(before.items[0].billedFromMs);
  });
});
