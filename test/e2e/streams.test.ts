import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectEngine } from '../../src/engine/connect.ts';
import type { Engine } from '../../src/engine/port.ts';
import { type Running, startUp, temporaryFolder, until } from './process.ts';

/** Streams of a running Cubit on the embedded engine: clients that leave, that do not read, and a stop. */
const dataDir = temporaryFolder();
const sockets = mkdtempSync(join(tmpdir(), 'cubit-e2e-tmp-'));
let cubit: Running;
let engine: Engine;

beforeAll(async () => {
  cubit = await startUp(dataDir, { TMPDIR: sockets });
  engine = connectEngine({ kind: 'llama', socketPath: workerSocket() });
});

afterAll(async () => {
  await engine?.close();
  await cubit?.stop('SIGKILL');
  for (const folder of [sockets, dataDir]) rmSync(folder, { recursive: true, force: true });
});

function workerSocket(): string {
  const files = readdirSync(sockets, { recursive: true, withFileTypes: true });
  const socket = files.find((file) => file.isSocket());
  if (socket === undefined) throw new Error('the worker has no socket');
  return join(socket.parentPath, socket.name);
}

/** Sequences that the engine itself decodes. */
const running = async () => (await engine.metrics(AbortSignal.timeout(10_000))).running;

/** What the worker itself says of clients that left. */
async function cancels(): Promise<{ count: number; freeMs: number; lastMs: number }> {
  const text = await new Promise<string>((resolve, reject) => {
    get({ socketPath: workerSocket(), path: '/metrics' }, (response) => {
      let all = '';
      response.setEncoding('utf8').on('data', (part) => {
        all += part;
      });
      response.on('end', () => resolve(all));
    }).on('error', reject);
  });
  const figure = (name: string) => Number(new RegExp(`^cubit_worker_${name}{.*} (.*)$`, 'm').exec(text)?.[1]);
  const ms = (name: string) => 1_000 * figure(name);
  return {
    count: figure('cancels_total'),
    freeMs: ms('cancel_free_seconds_total'),
    lastMs: ms('last_cancel_timestamp_seconds'),
  };
}

interface Reader {
  readonly socket: Socket;
  text: string;
}

/** One request on a connection of its own. */
function ask(content: string, maxTokens: number): Reader {
  const body = JSON.stringify({
    model: 'demo',
    messages: [{ role: 'user', content }],
    max_tokens: maxTokens,
    stream: true,
  });
  const socket = connect(Number(new URL(cubit.ready.url).port), '127.0.0.1').setEncoding('utf8');
  const reader: Reader = { socket, text: '' };
  socket.on('error', () => undefined);
  socket.on('data', (part) => {
    reader.text += part;
  });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${cubit.ready.apiKey}\r\n`;
  socket.write(`${head}x-cubit-max-wait-ms: 60000\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  return reader;
}

const STORY = 'Write a very long story about a river.';

it.each([
  ['closes its connection', (socket: Socket) => socket.destroy()],
  ['resets it', (socket: Socket) => socket.resetAndDestroy()],
  ['closes its half of it', (socket: Socket) => socket.end()],
])('a client that %s frees its sequence in the engine', async (how, leave) => {
  const [toldMs, freeMs]: [number[], number[]] = [[], []];
  for (let time = 0; time < 5; time += 1) {
    const reader = ask(STORY, 1_500);
    await until('tokens come', () => reader.text.split('data:').length > 4);
    expect(await running()).toBe(1);
    const before = await cancels();
    const leftMs = Date.now();
    leave(reader.socket);
    await until('its sequence is free', async () => (await running()) === 0);
    const after = await cancels();
    expect(after.count).toBe(before.count + 1);
    toldMs.push(Math.round(after.lastMs - leftMs));
    freeMs.push(Math.round(after.freeMs - before.freeMs));
  }
  // To reach: the engine is told within 100 ms. It then ends the step that is under way.
  console.log(`client ${how}: the engine was told after ${toldMs} ms, its sequence free ${freeMs} ms later`);
});

it('one that does not read pauses its own sequence at most: others are served beside it', async () => {
  const deaf = ask(STORY, 1_500);
  deaf.socket.pause();
  await until('it runs', async () => (await running()) === 1);
  for (let time = 0; time < 3; time += 1) {
    const reader = ask('Say hello.', 8);
    await until('another is served', () => reader.text.includes('[DONE]'));
    reader.socket.destroy();
  }
  deaf.socket.destroy();
  await until('nothing runs', async () => (await running()) === 0);
});

it('a stop finishes what runs, refuses what waits and what comes, and ends with 0', async () => {
  const readers = Array.from({ length: 3 }, () => ask('Tell a story about a lighthouse.', 60));
  await until('all of them run', () => readers.every(({ text }) => text.includes('data:')));
  const exited = cubit.stop('SIGTERM');
  await until('it drains', async () => {
    const answer = await fetch(`${cubit.ready.url}/readyz`).catch(() => null);
    return answer === null || answer.status === 503;
  });
  const late = await fetch(`${cubit.ready.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${cubit.ready.apiKey}` },
    body: JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'x' }] }),
  }).catch(() => null);
  if (late !== null) expect([late.status, await late.text()]).toEqual([503, expect.stringContaining('shutting_down')]);
  expect(await exited).toBe(0);
  for (const { text } of readers) {
    expect(text).toMatch(/"finish_reason":"(stop|length)"/);
    expect(text).toContain('[DONE]');
    expect(text).not.toContain('"error"');
  }
});
