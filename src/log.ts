import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import pino, { type Logger } from 'pino';
import { CubitError } from './core/errors.ts';

export type { Logger } from 'pino';

const FILE_BYTES_MAX = 64 * 1024 * 1024;
/** What waits for a disk to have room again; lines beyond that are lost. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;
const CHECK_MS = 30_000;

/**
 * Structured logs, one JSON object a line: to stderr, or to a file that is kept below twice 64 MiB. Never prompt text,
 * keys or tokens. Throws `config_invalid` when there is no such file to be had.
 */
export function createLog(options: { level: string; file: string | null }): Logger {
  const base = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const { file } = options;
  const destination = open(file);
  // A disk that is full, or a pipe that nobody reads, must not stop the serving of requests.
  destination.on('error', () => {});
  if (file === null) return pino(base, destination);
  const rotate = () => {
    try {
      if (statSync(file).size < FILE_BYTES_MAX) return;
      renameSync(file, `${file}.1`);
      destination.reopen();
    } catch {
      // Tried again at the next check.
    }
  };
  rotate();
  setInterval(rotate, CHECK_MS).unref();
  return pino(base, destination);
}

function open(file: string | null) {
  try {
    if (file !== null) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    return pino.destination({ dest: file ?? 2, sync: true, append: true, maxLength: WAITING_BYTES_MAX });
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'no reason given';
    throw new CubitError('config_invalid', `The log ${file} cannot be written (${why}). Choose another with --log.`, {
      cause: error,
    });
  }
}
