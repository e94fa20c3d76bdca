import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Gateways on one core, load and mock on another. null: this machine has one core, or no taskset: nothing is bound. */
export interface Cores {
  readonly gateway: number;
  readonly load: number;
}

export function coresOf(): Cores | null {
  if (availableParallelism() < 2) return null;
  try {
    execFileSync('taskset', ['-V'], { stdio: 'ignore' });
    return { gateway: 0, load: 1 };
  } catch {
    return null;
  }
}

export interface Running {
  readonly url: string;
  readonly child: ChildProcess;
  readonly lines: string[];
}

const START_MS_MAX = 90_000;

/** Starts a program of this benchmark that prints its URL as its first line. It ends with us: its stdin closes. */
export async function startOwn(core: number | null, file: URL, args: readonly string[]): Promise<Running> {
  const child = spawnOn(core, process.execPath, [file.pathname, ...args], {});
  const lines: string[] = [];
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (data: Buffer) => {
      lines.push(data.toString().trim());
      resolve(lines[0] as string);
    });
    child.once('exit', (code) => reject(new Error(`${file.pathname} ended with code ${code}`)));
  });
  return { url, child, lines };
}

/** Starts a peer and waits until `url` answers a POST of `body` with 200. Throws what it said when it does not. */
export async function startPeer(
  core: number | null,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  ready: () => Promise<boolean>,
): Promise<ChildProcess> {
  const [program = '', ...args] = command;
  const child = spawnOn(core, program, args, env);
  let said = '';
  let ended: string | null = null;
  const hear = (data: Buffer) => {
    said = (said + data.toString()).slice(-2_000);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  child.once('error', (error) => {
    ended = error.message;
  });
  child.once('exit', (code) => {
    ended ??= `it ended with code ${code}`;
  });
  for (const endMs = performance.now() + START_MS_MAX; performance.now() < endMs && ended === null; ) {
    if (await ready().catch(() => false)) return child;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  child.kill('SIGKILL');
  throw new Error(`${ended ?? 'it did not answer in time'}: ${said.trim().split('\n').at(-1)?.slice(0, 200) ?? ''}`);
}

export function forkOn(core: number | null, file: URL): ChildProcess {
  const child = fork(file, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  if (core !== null && child.pid !== undefined) {
    execFileSync('taskset', ['-a', '-p', '-c', String(core), String(child.pid)], { stdio: 'ignore' });
  }
  return child;
}

function spawnOn(core: number | null, program: string, args: readonly string[], env: Readonly<Record<string, string>>) {
  const [command, own] = core === null ? [program, [...args]] : ['taskset', ['-c', String(core), program, ...args]];
  return spawn(command, own, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env } });
}

/** Of a process and all its descendants, from /proc. Throws where there is none. */
export interface Usage {
  readonly cpuUs: number;
  readonly rssMb: number;
}

/** The unit of times in /proc/PID/stat; 100 a second on every Linux that Node runs on. */
const TICK_US = 10_000;
const PAGE_BYTES = 4_096;

export function usageOf(pid: number): Usage {
  let ticks = 0;
  let pages = 0;
  for (const one of withDescendants(pid)) {
    // What stands behind the name, which may hold spaces and brackets; proc(5).
    const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
    ticks += Number(fields[11]) + Number(fields[12]);
    pages += Number(fields[21]);
  }
  return { cpuUs: ticks * TICK_US, rssMb: (pages * PAGE_BYTES) / 2 ** 20 };
}

function withDescendants(pid: number): number[] {
  const found = [pid];
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    const children = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim();
    for (const child of children === '' ? [] : children.split(' ')) found.push(...withDescendants(Number(child)));
  }
  return found;
}
