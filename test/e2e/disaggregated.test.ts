import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Running, startUp, temporaryFolder, until } from './process.ts';

/** A unit of two real workers, bought as any other, beside a unit of one: `pair` and `demo` serve the same weights. */
const folder = mkdtempSync(join(tmpdir(), 'cubit-e2e-tmp-'));
const dataDir = temporaryFolder();
let cubit: Running;
let client: OpenAI;

beforeAll(async () => {
  cubit = await startUp(dataDir, { CUBIT_WORKERS_MAX: '4', TMPDIR: folder });
  client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
  await buy('pair', 'smollm2-135m-pd-local');
  await serving();
});
afterAll(async () => {
  await cubit?.stop('SIGKILL');
  for (const path of [folder, dataDir]) rmSync(path, { recursive: true, force: true });
});

async function api(method: string, path: string, body?: unknown) {
  const operatorToken = readFileSync(join(dataDir, 'operator-token'), 'utf8').trim();
  const reply = await fetch(`${cubit.ready.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${operatorToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // biome-ignore lint/suspicious/noExplicitAny: what came over HTTP is what the test is about.
  const answer = (await reply.json()) as any;
  if (!reply.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
  return answer;
}

const buy = (name: string, templateId: string) =>
  api('POST', '/endpoints', {
    tenantId: cubit.ready.tenantId,
    name,
    models: [{ modelId: 'smollm2-135m-instruct', templateId, units: 1 }],
  });

const machines = async (of = '-pd-') =>
  (await api('GET', '/replicas')).items.filter((one: { templateId: string }) => one.templateId.includes(of));

async function serving(model = 'pair', of = '-pd-', count = 2): Promise<void> {
  await until('all machines are ready', async () => {
    const all = await machines(of);
    return all.length === count && all.every((one: { state: string }) => one.state === 'ready');
  });
  await until('a request is served', async () => {
    const asked = client.chat.completions.create({
      model,
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 2,
    });
    return asked.then(
      () => true,
      () => false,
    );
  });
}

const stream = (model: string, content: string, max_tokens: number) =>
  client.chat.completions.create({
    model,
    messages: [{ role: 'user', content }],
    max_tokens,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  });

/** Each token's text, the usage, and when the first token came. */
async function answerOf(model: string, content: string, max_tokens: number) {
  const startedMs = performance.now();
  const pieces: string[] = [];
  let ttftMs = 0;
  let usage: OpenAI.CompletionUsage | undefined;
  for await (const chunk of await stream(model, content, max_tokens)) {
    const piece = chunk.choices[0]?.delta.content ?? '';
    if (piece !== '' && pieces.push(piece) === 1) ttftMs = performance.now() - startedMs;
    usage = chunk.usage ?? usage;
  }
  return { pieces, usage, ttftMs };
}

/** Engine workers started with a folder for KV states, the prefill worker first. */
function pairPids(): [prefill: number, decode: number] {
  const rows = execFileSync('ps', ['-eo', 'pid=,args=', '--sort=start_time,pid'], { encoding: 'utf8' }).split('\n');
  const pids = rows.filter((row) => row.includes('/worker.ts') && row.includes(`--kv-folder ${folder}`));
  expect(pids).toHaveLength(2);
  return pids.map((row) => Number(row.trim().split(/\s+/)[0])) as [number, number];
}

const statesLeft = () => readdirSync(folder, { recursive: true }).filter((file) => /\.(kv|taken)$/.test(String(file)));

it.each([
  ['a question', 'What is a river?', 40],
  ['a long prompt', `${'The mill stands by the river and turns slowly. '.repeat(30)}What turns?`, 40],
])('answers token by token as a unit of one machine does: %s', async (name, content, tokens) => {
  const one = await answerOf('demo', content, tokens);
  const two = await answerOf('pair', content, tokens);
  expect(two.pieces).toEqual(one.pieces);
  expect(two.pieces.length).toBeGreaterThan(5);
  expect(two.usage).toMatchObject({
    prompt_tokens: one.usage?.prompt_tokens,
    completion_tokens: one.usage?.completion_tokens,
  });
  await until('no state is left, or it was too old', () => statesLeft().length === 0);
  console.log('disaggregated:', name, { ttftMsOne: Math.round(one.ttftMs), ttftMsTwo: Math.round(two.ttftMs) });
});

it('ends a stream with an error at once when its decode machine is killed, and serves again after', async () => {
  const asked = await stream('pair', 'Count to one thousand.', 1500);
  const [, decode] = pairPids();
  await expect(
    (async () => {
      let tokens = 0;
      for await (const chunk of asked) {
        if (chunk.choices[0]?.delta.content && ++tokens === 3) process.kill(decode, 'SIGKILL');
      }
    })(),
  ).rejects.toThrow(/engine/);
  await serving();
});

it('answers with a clear error when its prefill machine is killed meanwhile, and serves again after', async () => {
  const [prefill] = pairPids();
  const long = 'word '.repeat(1800);
  const asked = client.chat.completions.create({ model: 'pair', messages: [{ role: 'user', content: long }] });
  await until('it is sent', async () => {
    const text = await (await fetch(`${cubit.ready.url}/metrics`)).text();
    return text.split('\n').some((line) => line.startsWith('cubit_running{') && Number(line.split(' ').at(-1)) > 0);
  });
  process.kill(prefill, 'SIGKILL');
  await expect(asked).rejects.toMatchObject({ status: expect.any(Number), code: expect.stringMatching(/^engine_/) });
  await serving();
  await until('no state is left, or it was too old', () => statesLeft().length === 0);
});

it('is one unit in control: bought, shown and taken back as one', async () => {
  const { items } = await api('GET', '/groups');
  const group = items.find((one: { templateId: string }) => one.templateId.includes('-pd-'));
  expect(group).toMatchObject({ units: 1, unitsReady: 1, state: 'active' });
  expect((await machines()).map((one: { role: string }) => one.role).toSorted()).toEqual(['decode', 'prefill']);
  await api('POST', `/groups/${group.groupId}/unsubscribe`, {});
  await until('both machines are gone', async () =>
    (await machines()).every((one: { state: string }) => one.state === 'stopped'),
  );
});

it('sells a cache machine beside them, from which a prefill machine that lost its own cache goes on', async () => {
  await buy('trio', 'smollm2-135m-pdc-local');
  await serving('trio', '-pdc-', 3);
  const content = `${'The mill stands by the river and turns slowly. '.repeat(20)}What turns?`;
  const one = await answerOf('demo', content, 20);
  const three = await answerOf('trio', content, 20);
  expect(three.pieces).toEqual(one.pieces);
  // What every chat begins with, at most.
  expect(three.usage?.prompt_tokens_details?.cached_tokens).toBeLessThan(50);
  process.kill(pairPids()[0], 'SIGKILL');
  await until('it is seen', async () =>
    (await machines('-pdc-')).some((machine: { state: string }) => machine.state !== 'ready'),
  );
  await serving('trio', '-pdc-', 3);
  const again = await answerOf('trio', content, 20);
  expect(again.usage?.prompt_tokens_details?.cached_tokens).toBeGreaterThan(150);
  // A unit of one machine too has all but the last token cached by now.
  expect(again.pieces).toEqual((await answerOf('demo', content, 20)).pieces);
  console.log('three-type:', { ttftMsFirst: Math.round(three.ttftMs), ttftMsFromCache: Math.round(again.ttftMs) });
});

it('leaves nothing behind when all of it is killed', async () => {
  await cubit.stop('SIGKILL');
  await until('the workers have ended and their folder is gone', () => readdirSync(folder).length === 0);
});
