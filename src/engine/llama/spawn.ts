import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const TAIL_LINES = 8;
const LINE_CHARS_MAX = 500;

export interface SpawnOptions {
  /** Node's executable and the worker's entry file. */
  readonly execPath: string;
  readonly workerPath: string;
  readonly arguments: readonly string[];
  /** Gets every line the worker writes to stderr. */
  readonly log: (line: string) => void;
}

export interface WorkerExit {
  /** For people: how it ended, with its last words. */
  readonly reason: string;
}

/** A running worker process. Its IPC channel makes it end with this process, however this one ends. */
export class WorkerProcess {
  /** Resolves once, when the process is gone. */
  readonly exited: Promise<WorkerExit>;
  /** Where it listens (`http://…` or `unix:…`). Never settles when it ends before that. */
  readonly listening: Promise<string>;
  readonly #child: ChildProcess;
  readonly #tail: string[] = [];

  constructor(options: SpawnOptions) {
    this.#child = spawn(options.execPath, [options.workerPath, ...options.arguments], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child.on('error', (error) => options.log(error.message));
    this.listening = this.#readAddress();
    this.#readErrors(options.log);
    this.exited = this.#awaitExit();
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.#child.kill(signal);
  }

  async #readAddress(): Promise<string> {
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    return new Promise((resolve) => {
      lines.on('line', (line) => {
        const { event, url } = parseLine(line);
        if (event === 'listening' && typeof url === 'string') resolve(url);
      });
    });
  }

  #readErrors(log: (line: string) => void): void {
    createInterface({ input: this.#child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      const short = line.slice(0, LINE_CHARS_MAX);
      this.#tail.push(short);
      if (this.#tail.length > TAIL_LINES) this.#tail.shift();
      log(short);
    });
  }

  async #awaitExit(): Promise<WorkerExit> {
    try {
      // `close` comes after the last of stderr; `error` when the process could not be started.
      const [code, signal] = await once(this.#child, 'close');
      const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
      return { reason: [`The worker ${how}.`, ...this.#tail].join('\n') };
    } catch (error) {
      return { reason: `The worker could not be started: ${error instanceof Error ? error.message : String(error)}` };
    }
  }
}

function parseLine(line: string): { event?: unknown; url?: unknown } {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}
