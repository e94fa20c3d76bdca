import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { childrenOf, runCli, temporaryFolder } from './process.ts';

const cli = fileURLToPath(new URL('../../src/cli/cubit.ts', import.meta.url));

interface Line {
  readonly url: string;
  readonly pid: number;
  readonly apiKey?: string;
}

interface Process {
  readonly line: Line;
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts a command of Cubit and waits for its line of JSON. */
async function start(args: readonly string[]): Promise<Process> {
  const child = spawn(process.execPath, [cli, '--json', ...args, '--log', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-100_000);
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const line = await new Promise<Line>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(JSON.parse(chunk.toString()) as Line));
    void exited.then(() => reject(new Error(`cubit ${args.join(' ')} ended: ${said}`)));
  });
  return {
    line,
    end: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

const ask = (url: string, apiKey: string) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0, timeout: 60_000 }).chat.completions.create({
    model: 'demo',
    messages: [{ role: 'user', content: 'Say hello.' }],
    max_tokens: 4,
  });
const status = (url: string, apiKey: string) =>
  // A connection of its own each time, so that every worker is met.
  fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${apiKey}`, connection: 'close' } }).then(
    (reply) => reply.status,
    () => 0,
  );

describe('gateways in processes of their own, with the embedded engine', () => {
  const dataDir = temporaryFolder();
  let main: Process;
  let apiKey: string;
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await runCli(['--data', dataDir, '--url', main.line.url, '--json', ...args]);
    if (code !== 0) throw new Error(stderr);
    return JSON.parse(stdout);
  };
  const stored = async () => {
    const { items } = (await json('usage', 'summary')) as { items: { outcome: string; requests: number }[] };
    return items.filter(({ outcome }) => outcome === 'completed').reduce((sum, { requests }) => sum + requests, 0);
  };

  beforeAll(async () => {
    main = await start(['--data', dataDir, 'up', '--port', '0', '--workers', '2']);
    apiKey = main.line.apiKey!;
  });
  afterAll(async () => {
    await main.end('SIGTERM');
  });

  it('serves the OpenAI SDK and the control API on one port; a worker killed -9 loses and doubles no receipt', async () => {
    let completed = 0;
    for (let turn = 0; turn < 6; turn += 1) {
      const reply = await ask(main.line.url, apiKey);
      completed += 1;
      expect(reply.usage?.completion_tokens).toBeGreaterThan(0);
    }
    await expect.poll(stored, { timeout: 20_000 }).toBe(completed);
    const gateways = () => gatewaysOf(main.line.pid);
    const [victim] = gateways();
    for (let turn = 0; turn < 4; turn += 1) completed += (await ask(main.line.url, apiKey)) === null ? 0 : 1;
    // Past the fsync of their journals, before or while they are shipped.
    await new Promise((resolve) => setTimeout(resolve, 150));
    process.kill(victim!, 'SIGKILL');
    await expect.poll(() => gateways().length === 2 && !gateways().includes(victim!), { timeout: 30_000 }).toBe(true);
    await expect.poll(stored, { timeout: 30_000 }).toBe(completed);
    await expect
      .poll(
        () =>
          ask(main.line.url, apiKey).then(
            () => true,
            () => false,
          ),
        { timeout: 30_000 },
      )
      .toBe(true);
    await expect.poll(stored, { timeout: 30_000 }).toBeGreaterThan(completed);
  });

  it('stops a revoked key in every worker within 2 s', async () => {
    const made = (await json('key', 'create', 'short')) as { keyId: string; key: string };
    const statuses = () => Promise.all(Array.from({ length: 16 }, () => status(main.line.url, made.key)));
    await expect.poll(statuses, { timeout: 10_000 }).toEqual(Array(16).fill(200));
    await json('key', 'revoke', made.keyId);
    await expect.poll(statuses, { timeout: 2_000 }).toEqual(Array(16).fill(401));
  });

  it('goes on, and starts again from its disk, while the control plane is killed', async () => {
    const flags = ['--data', dataDir, 'gateway', '--control', main.line.url, '--port', '0', '--name', 'alone'];
    let gateway = await start(flags);
    expect(await status(gateway.line.url, apiKey)).toBe(200);
    await main.end('SIGKILL');
    await expect
      .poll(async () => (await (await fetch(`${gateway.line.url}/readyz`)).json()) as object, { timeout: 20_000 })
      .toMatchObject({ status: 'ready', controlConnected: false });
    expect(await status(gateway.line.url, apiKey)).toBe(200);
    await gateway.end('SIGKILL');
    gateway = await start(flags);
    expect(await status(gateway.line.url, apiKey)).toBe(200);
    expect(await status(gateway.line.url, 'sk-cubit-wrong')).toBe(401);
    const ready = await fetch(`${gateway.line.url}/readyz`);
    expect(await ready.json()).toMatchObject({ status: 'ready', source: 'disk', controlConnected: false });
    await gateway.end('SIGTERM');
    main = await start(['--data', dataDir, 'up', '--port', '0', '--workers', '2']);
  });
});

function gatewaysOf(pid: number): number[] {
  return childrenOf(pid).filter((child) => commandOf(child).includes('--behind'));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
