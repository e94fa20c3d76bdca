import { once } from 'node:events';
import { rmdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { CubitError } from '../../core/errors.ts';
import { loadModel } from './model.ts';
import { parseWorkerOptions, type WorkerOptions } from './options.ts';
import { PREFILL_TOKENS_PER_STEP } from './scheduler.ts';
import { WorkerServer } from './server.ts';

/**
 * The entry of an engine process: one model, one OpenAI-compatible server. Says on stdout, as JSON lines, where it
 * listens and when it is ready. SIGTERM (and Ctrl-C where nobody supervises it) drains and exits 0; a parent that is
 * gone ends it at once; a native failure exits 70.
 */
const EXIT_FAILED = 1;
const EXIT_NATIVE = 70;

let parentLost = false;

async function main(): Promise<void> {
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) process.on(event, failNatively);
  const options = parseWorkerOptions(process.argv.slice(2));
  const server = new WorkerServer({
    name: options.name,
    waitingMax: options.waitingMax,
    kvFolder: options.kvFolder,
    onBroken: failNatively,
  });
  stopWithParent();
  let loading = true;
  const stop = (): void => {
    if (loading) process.exit(0);
    void server.drain().then(() => process.exit(0));
  };
  process.on('SIGTERM', stop);
  // Ctrl-C reaches the whole process group; a supervised worker waits for its parent to drain it.
  process.on('SIGINT', () => (process.connected ? undefined : stop()));

  const startedMs = performance.now();
  await listen(server, options);
  server.ready(
    await loadModel({
      ...options,
      batchTokens: PREFILL_TOKENS_PER_STEP + options.sequences,
      log: (line) => console.error(line),
    }),
  );
  loading = false;
  say({ event: 'ready', loadMs: Math.round(performance.now() - startedMs) });
}

async function listen(server: WorkerServer, options: WorkerOptions): Promise<void> {
  const { listen } = options;
  if ('socketPath' in listen) {
    process.on('exit', () => removeSocket(listen.socketPath, options.kvFolder));
    server.http.listen(listen.socketPath);
  } else server.http.listen(listen.port, listen.host);
  await once(server.http, 'listening');
  const address = server.http.address();
  const url =
    typeof address === 'object' && address !== null
      ? `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`
      : `unix:${address}`;
  say({ event: 'listening', url });
}

/** A parent that was killed leaves the sockets' folder behind: the last of its workers takes it along. */
function removeSocket(socketPath: string, kvFolder: string | null): void {
  rmSync(socketPath, { force: true });
  if (!parentLost) return;
  if (kvFolder !== null) rmSync(kvFolder, { recursive: true, force: true });
  try {
    rmdirSync(dirname(socketPath));
  } catch {
    // Another worker's socket is in it still.
  }
}

/** The parent's channel closes when it dies, however it dies: nobody is left to stop this process, so it stops itself. */
function stopWithParent(): void {
  if (!process.connected) return;
  process.on('disconnect', () => {
    parentLost = true;
    process.exit(0);
  });
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function failNatively(error: unknown): void {
  console.error(error instanceof Error ? error.stack : error);
  process.exit(EXIT_NATIVE);
}

main().catch((error: unknown) => {
  console.error(error instanceof CubitError ? error.message : error);
  process.exit(EXIT_FAILED);
});
