import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../src/cli/cubit.ts', import.meta.url));

export interface Ready {
  readonly url: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly endpoint: string;
  readonly tenantId: string;
  readonly apiKey: string | null;
}

export interface Running {
  readonly ready: Ready;
  readonly child: ChildProcess;
  /** What it wrote to stderr: the structured log. */
  log(): string;
  /** Sends a signal and waits for the end; resolves with the exit code (null after a kill). */
  stop(signal: NodeJS.Signals): Promise<number | null>;
}

export const temporaryFolder = () => mkdtempSync(join(tmpdir(), 'cubit-e2e-'));

/** Starts `cubit up` as a user would, on a free port, and waits until it says that it is ready. */
export async function startUp(dataDir: string, env: NodeJS.ProcessEnv = {}): Promise<Running> {
  const child = spawn(process.execPath, [cli, '--json', '--data', dataDir, 'up', '--port', '0', '--log', '-'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-2_000_000);
  });
  const exited = new Promise<number | null>((resolve) => child.on('exit', (code) => resolve(code)));
  const ready = await new Promise<Ready>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      const line = output.split('\n').find((text) => text.includes('"event":"ready"'));
      if (line !== undefined) resolve(JSON.parse(line) as Ready);
    });
    void exited.then((code) => reject(new Error(`cubit up ended with code ${code}:\n${output}\n${log}`)));
  });
  return {
    ready,
    child,
    log: () => log,
    stop: (signal) => {
      child.kill(signal);
      return exited;
    },
  };
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the CLI to its end. `onStderr` may send it a signal when it has said something. */
export function runCli(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  onStderr: (text: string, child: ChildProcess) => void = () => undefined,
): Promise<CliResult> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...args], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      onStderr(stderr, child);
    });
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }));
  });
}

/** Pids of the direct children of a process: a Cubit's worker processes. */
export function childrenOf(pid: number): number[] {
  const table = execFileSync('ps', ['-eo', 'pid=,ppid=,stat='], { encoding: 'utf8' });
  return table
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, parent, state]) => Number(parent) === pid && !state?.startsWith('Z'))
    .map(([own]) => Number(own));
}

export async function until(
  what: string,
  condition: () => Promise<boolean> | boolean,
  waitMsMax = 60_000,
): Promise<void> {
  const deadline = performance.now() + waitMsMax;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`waited ${waitMsMax} ms in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
