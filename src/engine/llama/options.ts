import { parseArgs } from 'node:util';
import { CubitError } from '../../core/errors.ts';

/** What a worker process is told on its command line. */
export interface WorkerOptions {
  /** GGUF file. */
  readonly modelPath: string;
  readonly listen: { readonly socketPath: string } | { readonly host: string; readonly port: number };
  /** Tokens of one sequence, prompt and output together. */
  readonly contextTokens: number;
  /** Sequences decoded together at most. */
  readonly sequences: number;
  /** 0 = one less than the machine has cores. */
  readonly threads: number;
  /** The model's name on the wire. */
  readonly name: string;
  /** Requests that may wait for a sequence; one more is refused with 503. */
  readonly waitingMax: number;
  /** Where KV states are handed over to other workers; null = a worker that prefills and decodes by itself. */
  readonly kvFolder: string | null;
}

const USAGE =
  'worker.ts --model FILE (--socket PATH | --listen HOST:PORT) [--context N] [--sequences N] [--threads N] [--name ID] [--waiting-max N] [--kv-folder DIR]';

/** Reads the command line. Throws `config_invalid` that names the setting and what it may be. */
export function parseWorkerOptions(argv: readonly string[]): WorkerOptions {
  const values = readArguments(argv);
  if (values.model === undefined) throw invalid('--model is missing');
  return {
    modelPath: values.model,
    listen: listenAddress(values.socket, values.listen),
    contextTokens: whole('--context', values.context, 64, 1_048_576),
    sequences: whole('--sequences', values.sequences, 1, 256),
    threads: whole('--threads', values.threads, 0, 1024),
    name: values.name,
    waitingMax: whole('--waiting-max', values['waiting-max'], 0, 100_000),
    kvFolder: values['kv-folder'] ?? null,
  };
}

/** The command line that `parseWorkerOptions` reads back to the same options. */
export function workerArguments(options: WorkerOptions): string[] {
  const { listen } = options;
  return [
    ...['--model', options.modelPath],
    ...('socketPath' in listen ? ['--socket', listen.socketPath] : ['--listen', `${listen.host}:${listen.port}`]),
    ...['--context', String(options.contextTokens)],
    ...['--sequences', String(options.sequences)],
    ...['--threads', String(options.threads)],
    ...['--name', options.name],
    ...['--waiting-max', String(options.waitingMax)],
    ...(options.kvFolder === null ? [] : ['--kv-folder', options.kvFolder]),
  ];
}

function readArguments(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        model: { type: 'string' },
        socket: { type: 'string' },
        listen: { type: 'string' },
        context: { type: 'string', default: '2048' },
        sequences: { type: 'string', default: '4' },
        threads: { type: 'string', default: '0' },
        name: { type: 'string', default: 'local' },
        'waiting-max': { type: 'string', default: '64' },
        'kv-folder': { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

function listenAddress(socket: string | undefined, listen: string | undefined): WorkerOptions['listen'] {
  if ((socket === undefined) === (listen === undefined)) throw invalid('give one of --socket and --listen');
  if (socket !== undefined) return { socketPath: socket };
  const match = /^(.+):(\d{1,5})$/.exec(listen ?? '');
  const port = Number(match?.[2]);
  if (!match?.[1] || port > 65_535) throw invalid(`--listen takes HOST:PORT, not "${listen}"`);
  return { host: match[1].replace(/^\[(.*)\]$/, '$1'), port };
}

function whole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max) {
    throw invalid(`${name} takes a whole number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

function invalid(problem: string): CubitError {
  return new CubitError('config_invalid', `${problem}.\n${USAGE}`);
}
