import { once } from 'node:events';
import { rmdirSync, rmSync } from 'node:fs';
import type { Server } from 'node:http';
import { dirname } from 'node:path';
import { CubitError } from '../../core/errors.ts';
import type { WorkerOptions } from './options.ts';

/** What every worker process does: say where it listens, end with its parent, leave nothing behind. */
const EXIT_FAILED = 1;
const EXIT_NATIVE = 70;

let parentLost = false;

/** Runs a worker; what it throws ends the process: 1 for what is said to people, 70 for a native failure. */
export function runWorker(main: () => Promise<void>): void {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, failNatively);
  main().catch((error: unknown) => {
    console.error(error instanceof CubitError ? error.message : error);
    process.exit(EXIT_FAILED);
  });
}

/** SIGTERM stops; Ctrl-C too where nobody supervises: it reaches the whole process group, and a parent drains its workers. */
export function onStop(stop: () => void): void {
  // The parent's channel closes when it dies, however it dies: nobody is left to stop this process, so it stops itself.
  if (process.connected) {
    process.on('disconnect', () => {
      parentLost = true;
      process.exit(0);
    });
  }
  process.on('SIGTERM', stop);
  process.on('SIGINT', () => (process.connected ? undefined : stop()));
}

/** Listens and says where. `folders` go with a process whose parent was killed. */
export async function listen(
  server: Server,
  address: WorkerOptions['listen'],
  folders: readonly string[] = [],
): Promise<void> {
  if ('socketPath' in address) {
    process.on('exit', () => removeSocket(address.socketPath, folders));
    server.listen(address.socketPath);
  } else server.listen(address.port, address.host);
  await once(server, 'listening');
  const bound = server.address();
  const url =
    typeof bound === 'object' && bound !== null
      ? `http://${bound.family === 'IPv6' ? `[${bound.address}]` : bound.address}:${bound.port}`
      : `unix:${bound}`;
  say({ event: 'listening', url });
}

/** A JSON line on stdout. */
export function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

export function failNatively(error: unknown): void {
  console.error(error instanceof Error ? error.stack : error);
  process.exit(EXIT_NATIVE);
}

/** A parent that was killed leaves the sockets' folder behind: the last of its workers takes it along. */
function removeSocket(socketPath: string, folders: readonly string[]): void {
  rmSync(socketPath, { force: true });
  if (!parentLost) return;
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  for (const path of [socketPath, ...folders]) {
    try {
      rmdirSync(dirname(path));
    } catch {
      // Another worker's socket is in it still, or it is gone.
    }
  }
}
