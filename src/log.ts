import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

const FILE_BYTES_MAX = 64 * 1024 * 1024;
const CHECK_MS = 30_000;

/**
 * Structured logs, one JSON object a line: to stderr, or to a file that is kept below twice 64 MiB. Never prompt text,
 * keys or tokens.
 */
export function createLog(options: { level: string; file: string | null }): Logger {
  const base = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  if (options.file === null) return pino(base, pino.destination({ dest: 2, sync: true }));
  const file = options.file;
  mkdirSync(dirname(file), { recursive: true });
  const destination = pino.destination({ dest: file, sync: true, append: true });
  // A disk that is full must not stop the serving of requests.
  destination.on('error', () => {});
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
