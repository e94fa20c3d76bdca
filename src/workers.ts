import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config } from './config.ts';
import { CubitError } from './core/errors.ts';
import { listen, urlOf } from './listener.ts';
import type { Logger } from './log.ts';

const RESTART_MS_MIN = 250;
const RESTART_MS_MAX = 10_000;
/** One that lived so long did not fail at its start: the next restart is quick again. */
const STEADY_MS = 60_000;
const READY_MS_MAX = 60_000;
/** After its drain a worker has this long to ship its receipts. */
const LAST_MS_MAX = 10_000;

const cli = fileURLToPath(new URL('./cli/cubit.ts', import.meta.url));

interface WorkersOptions {
  readonly config: Config;
  readonly gatewayToken: string;
  readonly log: Logger;
}

/**
 * Hands the public port over to gateway worker processes, and answers what they pass on, and their own questions, at a
 * port of this machine. They share the port by SO_REUSEPORT: the kernel spreads connections evenly by a hash, and no process
 * stands in between. (A shared listening socket gives most connections to whoever wakes first; the cluster module's own
 * round robin takes each through the main process, which is the control plane and may be writing to its database.)
 * Returns how to stop them, after `config.drainMs` for running requests. Throws when they do not start.
 */
export async function putWorkersBefore(
  server: Server,
  answer: (req: IncomingMessage, res: ServerResponse) => void,
  { config, gatewayToken, log }: WorkersOptions,
): Promise<() => Promise<void>> {
  if (process.platform !== 'linux') {
    throw new CubitError(
      'config_invalid',
      '--workers needs Linux: elsewhere the kernel does not spread connections over processes.',
    );
  }
  const { port } = server.address() as { port: number };
  const inner = await listen({ host: '127.0.0.1', port: 0 }, log);
  inner.removeAllListeners('request').on('request', answer);
  // Until here it kept others from the port; connections that it took already are served to their end.
  server.close();
  const controlUrl = urlOf(inner, '127.0.0.1');
  const args = ['--control', controlUrl, '--host', config.host, '--port', String(port), '--log', '-', '--behind'];
  const workers = Array.from({ length: config.workers }, (_, index) => {
    const name = `worker-${index}`;
    return new Worker(
      name,
      [cli, '--json', '--data', config.dataDir, 'gateway', '--name', name, ...args],
      { CUBIT_GATEWAY_TOKEN: gatewayToken, ...(config.redis !== null && { CUBIT_REDIS: config.redis }) },
      log,
    );
  });
  const stop = async () => {
    await Promise.all(workers.map((worker) => worker.stop(config.drainMs)));
    await new Promise<void>((resolve) => void inner.close(() => resolve()).closeAllConnections());
  };
  try {
    await Promise.all(workers.map((worker) => worker.ready));
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** One process that is started anew when it ends, later each time. It ends itself when this process does. */
class Worker {
  readonly ready: Promise<void>;
  readonly #start: () => ChildProcess;
  readonly #log: Logger;
  readonly #name: string;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;
  #child: ChildProcess | null = null;

  constructor(name: string, args: readonly string[], secrets: NodeJS.ProcessEnv, log: Logger) {
    this.#name = name;
    this.#log = log;
    this.#start = () => {
      const env = { ...process.env, ...secrets };
      return spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    };
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ready = promise;
    this.#running = this.#keep(resolve);
    const late = new CubitError(
      'config_invalid',
      `Gateway ${name} did not start within ${READY_MS_MAX / 1_000} s; the log says why.`,
    );
    const timer = setTimeout(() => reject(late), READY_MS_MAX);
    void promise.finally(() => clearTimeout(timer)).catch(() => {});
  }

  /** Running requests have `drainMs`; then it is killed. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping.abort();
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), drainMs + LAST_MS_MAX);
    await this.#running;
    clearTimeout(timer);
  }

  async #keep(ready: () => void): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      const startedMs = performance.now();
      const child = this.#start();
      this.#child = child;
      child.stdout?.once('data', ready);
      child.stdout?.resume();
      child.stdin?.on('error', () => {});
      const [code, signal] = (await once(child, 'exit').catch((error: Error) => [error.message])) as unknown[];
      this.#child = null;
      if (this.#stopping.signal.aborted) return;
      failures = performance.now() - startedMs > STEADY_MS ? 0 : failures + 1;
      const waitMs = Math.min(RESTART_MS_MAX, RESTART_MS_MIN * 2 ** (failures - 1));
      this.#log.error({ worker: this.#name, code, signal, waitMs }, 'a gateway worker ended; it is started again');
      await sleep(Math.max(0, waitMs), undefined, { signal: this.#stopping.signal }).catch(() => {});
    }
  }
}
