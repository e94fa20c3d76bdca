import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { workerArguments } from '../../src/engine/llama/options.ts';
import { WorkerProcess } from '../../src/engine/llama/spawn.ts';
import { testWeights } from '../fixtures.ts';
import { type Running, runCli, startUp, temporaryFolder, until } from './process.ts';

/** A server that runs already becomes a unit beside the local one: nothing is redeployed. */
const dataDir = temporaryFolder();
let cubit: Running;
let server: WorkerProcess;
let serverUrl: string;
let client: OpenAI;

const json = async (...args: string[]) => {
  const result = await runCli(['--json', '--data', dataDir, '--url', cubit.ready.url, ...args]);
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return JSON.parse(result.stdout);
};

beforeAll(async () => {
  server = new WorkerProcess({
    execPath: process.execPath,
    workerPath: new URL('../../src/engine/llama/worker.ts', import.meta.url).pathname,
    log: () => {},
    arguments: workerArguments({
      modelPath: await testWeights(),
      listen: { host: '127.0.0.1', port: 0 },
      contextTokens: 512,
      sequences: 4,
      threads: 1,
      name: 'smollm2-elsewhere',
      waitingMax: 16,
      kvFolder: null,
    }),
  });
  serverUrl = await server.listening;
  await until('the server is up', () =>
    fetch(`${serverUrl}/health`).then(
      (reply) => reply.ok,
      () => false,
    ),
  );
  cubit = await startUp(dataDir);
  client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
});

afterAll(async () => {
  await cubit?.stop('SIGKILL');
  server?.kill('SIGKILL');
});

async function replicaThatServes(): Promise<string | null> {
  const { response } = await client.chat.completions
    .create({ model: 'demo', messages: [{ role: 'user', content: 'Hi there' }], max_tokens: 24 })
    .withResponse();
  return response.headers.get('x-cubit-replica');
}

describe('adopted servers', () => {
  it('refuses what is no OpenAI-compatible server, with a reason', async () => {
    const nothing = await runCli([
      '--data',
      dataDir,
      '--url',
      cubit.ready.url,
      'adopt',
      'http://127.0.0.1:9',
      '--template',
      'smollm2-135m-local',
    ]);
    expect(nothing).toMatchObject({ code: 1, stderr: expect.stringMatching(/127\.0\.0\.1:9.*engine_unavailable/) });
    const unknown = await runCli([
      '--data',
      dataDir,
      '--url',
      cubit.ready.url,
      'adopt',
      serverUrl,
      '--template',
      'no-such-template',
    ]);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringMatching(/no-such-template/) });
  });

  it('supply units of a template beside local ones', async () => {
    const adopted = await json('adopt', serverUrl, '--template', 'smollm2-135m-local');
    expect(adopted.items).toMatchObject([{ dialect: 'cubit', model: 'smollm2-elsewhere' }]);
    const [group] = (await json('group', 'list')).items;
    await json('order', 'resize', group.groupId, '--units', '2');
    await until(
      'both units are ready',
      async () => (await json('endpoint', 'list')).items[0].models[0].unitsReady === 2,
    );
    const served = new Set(await Promise.all(Array.from({ length: 8 }, replicaThatServes)));
    expect(served.size).toBe(2);
    // Both are billed from now on: the price of two units runs.
    const preview = await json('bill', 'preview');
    expect(preview.lines[0].arithmetic).toMatch(/2 units/);
  });

  it('keeps serving from the others when one goes away, and says so', async () => {
    server.kill('SIGKILL');
    await server.exited;
    for (let call = 0; call < 4; call += 1) expect(await replicaThatServes()).not.toBeNull();
    await until('the lost unit is shown', async () => {
      const { items } = await json('replica', 'list');
      return items.some(
        (replica: { state: string; failure: string | null }) => replica.state !== 'ready' && replica.failure !== null,
      );
    });
    const [group] = (await json('group', 'list')).items;
    await json('order', 'resize', group.groupId, '--units', '1');
  });
});
