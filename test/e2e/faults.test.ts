import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childrenOf, type Running, runCli, startUp, temporaryFolder, until } from './process.ts';

/** What clients, disks and kills do to a running Cubit: one real server for all of it, which has to come through. */
const CHAT = '/v1/chat/completions';
const SECRET = 'xylophone-quartz-sphinx';
const DISK_MIB = 16;

const disk = smallDisk();
const dataDir = disk ?? temporaryFolder();
const sockets = mkdtempSync(join(tmpdir(), 'cubit-e2e-tmp-'));
let cubit: Running;
let workers: readonly number[] = [];
let client: OpenAI;

/** A disk of a few megabytes to fill; null where this user may not mount one. */
function smallDisk(): string | null {
  const folder = temporaryFolder();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', folder], { stdio: 'ignore' });
    return folder;
  } catch {
    return null;
  }
}

beforeAll(async () => {
  cubit = await startUp(dataDir, { TMPDIR: sockets });
  workers = childrenOf(cubit.ready.pid);
  client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
});

afterAll(async () => {
  await cubit?.stop('SIGKILL');
  if (disk !== null) execFileSync('umount', [disk]);
  for (const folder of [sockets, dataDir]) rmSync(folder, { recursive: true, force: true });
});

const ask = (content: string, max_tokens = 2) =>
  client.chat.completions.create({ model: 'demo', messages: [{ role: 'user', content }], max_tokens });

async function post(body: string, headers: Record<string, string> = {}): Promise<Response> {
  const authorization = `Bearer ${cubit.ready.apiKey}`;
  return fetch(cubit.ready.url + CHAT, { method: 'POST', headers: { authorization, ...headers }, body });
}

const codeOf = async (answer: Response) => ((await answer.json()) as { error: { code: string } }).error.code;

async function metric(name: string, label = ''): Promise<number> {
  const text = await (await fetch(`${cubit.ready.url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith(name) && line.includes(label));
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function expectNothingHeld(): Promise<void> {
  const held = async () => (await metric('cubit_running{')) + (await metric('cubit_queue_requests{'));
  await until('nothing runs or waits', async () => (await held()) === 0);
  const settledUs = await metric('cubit_work_settled_us_total');
  const returnedUs = await metric('cubit_work_returned_us_total');
  expect(await metric('cubit_work_reserved_us_total')).toBe(settledUs + returnedUs);
}

describe('clients', () => {
  it.each<[string, number, string, string]>([
    ['half JSON', 400, 'invalid_json', `{"model":"demo","messages":[{"content":"${SECRET}`],
    ['a wrong type', 400, 'invalid_request', `{"model":"demo","messages":"${SECRET}"}`],
    ['an unknown model', 404, 'model_not_found', '{"model":"nothing","messages":[]}'],
    ['too many bytes', 413, 'body_too_large', ' '.repeat(8 * 1024 * 1024 + 1)],
    [
      'a nesting without end',
      400,
      'invalid_request',
      `{"model":"demo","messages":[{"role":"user","content":"x","x":${'['.repeat(1e5)}${']'.repeat(1e5)}}]}`,
    ],
    [
      'a prompt of megabytes',
      400,
      'context_length_exceeded',
      JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: `${SECRET} `.repeat(300_000) }] }),
    ],
    [
      'a hundred thousand messages',
      400,
      'context_length_exceeded',
      JSON.stringify({ model: 'demo', messages: Array(100_000).fill({ role: 'user', content: '' }) }),
    ],
  ])('%s: %i %s, and the work of it is nothing', async (_, status, code, body) => {
    const settledUs = await metric('cubit_work_settled_us_total');
    const answer = await post(body);
    expect([answer.status, await codeOf(answer)]).toEqual([status, code]);
    await expectNothingHeld();
    expect(await metric('cubit_work_settled_us_total')).toBe(settledUs);
  });

  it('one that leaves mid-stream frees its place and has paid for what it got', async () => {
    const cancelled = await metric('cubit_requests_total', 'outcome="cancelled"');
    const settledUs = await metric('cubit_work_settled_us_total');
    const messages = [{ role: 'user' as const, content: 'Write a very long story about a river.' }];
    const stream = await client.chat.completions.create({ model: 'demo', messages, max_tokens: 1_500, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content) break;
    await until('it is over', async () => (await metric('cubit_running{')) === 0, 5_000);
    expect(await metric('cubit_requests_total', 'outcome="cancelled"')).toBe(cancelled + 1);
    expect(await metric('cubit_work_settled_us_total')).toBeGreaterThan(settledUs);
    await expectNothingHeld();
  });

  it('more than the queue holds are refused at once, the others when their time is over; one connection sends them all', async () => {
    const leave = new AbortController();
    const messages = [{ role: 'user' as const, content: 'Write a very long story about a mountain.' }];
    // They wait longer than this test runs, so that how fast the machine is decides nothing.
    const patient = { signal: leave.signal, headers: { 'x-cubit-max-wait-ms': '600000' } };
    const long = Array.from({ length: 60 }, () =>
      client.chat.completions
        .create({ model: 'demo', messages, max_tokens: 1_500, stream: true }, patient)
        .catch(() => null),
    );
    await until('a line has formed', async () => (await metric('cubit_queue_requests{')) >= 40);
    const body = bodyOf('x');
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${cubit.ready.apiKey}\r\nx-cubit-max-wait-ms: 1500\r\n`;
    const { port } = new URL(cubit.ready.url);
    const socket = connect(Number(port), '127.0.0.1').setEncoding('utf8');
    let text = '';
    socket.on('data', (part) => {
      text += part;
    });
    socket.write(`${head}content-length: ${body.length}\r\n\r\n${body}`.repeat(1_020));
    await until('all are answered', () => text.split('HTTP/1.1 ').length === 1_021, 30_000);
    socket.destroy();
    leave.abort();
    await Promise.all(long);
    // One key has its part of the line, not all of it.
    expect(text.split('queue that is yours is full').length - 1).toBeGreaterThanOrEqual(15);
    expect(new Set(text.match(/HTTP\/1\.1 (?!200)\d+/g))).toEqual(new Set(['HTTP/1.1 429']));
    await expectNothingHeld();
  });

  it('have ended no worker with all of this, and left none of their words in the log', async () => {
    expect((await ask('Hello')).usage?.completion_tokens).toBeGreaterThan(0);
    expect(childrenOf(cubit.ready.pid)).toEqual(workers);
    expect(cubit.log()).not.toContain(SECRET);
    expect(cubit.log()).not.toContain(cubit.ready.apiKey);
  });
});

const bodyOf = (content: string) =>
  JSON.stringify({ model: 'demo', messages: [{ role: 'user', content }], max_tokens: 1 });

describe('a full disk', () => {
  const filler = join(dataDir, 'filler');
  const token = () => readFileSync(join(dataDir, 'operator-token'), 'utf8').trim();
  const makeTenant = (name: string) =>
    fetch(`${cubit.ready.url}/api/v1/tenants`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token()}`, 'content-type': 'application/json' },
      body: JSON.stringify({ name }),
    });
  const tenants = async () => {
    const listed = await runCli(['--data', dataDir, '--url', cubit.ready.url, '--json', 'tenant', 'list']);
    return (JSON.parse(listed.stdout) as { items: { name: string }[] }).items.map(({ name }) => name);
  };
  const receipts = async () => {
    const listed = await runCli(['--data', dataDir, '--url', cubit.ready.url, '--json', 'usage', 'list']);
    return listed.stdout;
  };

  it('refuses changes with disk_full and goes on serving; with room again nothing is lost', async ({ skip }) => {
    if (disk === null) skip('this user may not mount a small disk to fill');
    fill(filler);
    // What fits into the pages that the database has already still goes in.
    let refused: Response | null = null;
    let made = 0;
    for (; refused === null && made < 2_000; made += 1) {
      const answer = await makeTenant(`tenant-${made}`);
      if (answer.status === 200 || answer.status === 201) await answer.arrayBuffer();
      else refused = answer;
    }
    expect([refused?.status, refused && (await codeOf(refused))]).toEqual([507, 'disk_full']);
    const served = await ask('Still there?').withResponse();
    const requestId = served.response.headers.get('x-request-id') ?? '';
    expect(served.data.usage?.completion_tokens).toBeGreaterThan(0);

    const other = join(dataDir, 'other');
    mkdirSync(other);
    const second = await runCli(['--data', other, 'up', '--port', '0']);
    const lines = second.stderr.split('\n').filter((line) => line.startsWith('cubit:'));
    expect([second.code, lines]).toEqual([1, [expect.stringMatching(/disk.*full.*disk_full/)]]);

    truncateSync(filler);
    await until('changes are taken', async () => (await makeTenant('roomy')).ok, 10_000);
    expect(await tenants()).toContain('roomy');
    await until('the receipt is written', async () => (await receipts()).includes(requestId), 40_000);
  });
});

function fill(file: string): void {
  for (let bytes = 1 << 20; bytes >= 1; bytes >>= 1) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(bytes), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
}

it('a kill -9 leaves no sockets behind', async () => {
  expect(readdirSync(sockets)).toHaveLength(1);
  await cubit.stop('SIGKILL');
  await until('the folder is gone', () => readdirSync(sockets).length === 0, 10_000);
});
