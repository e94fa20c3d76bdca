import { readFileSync } from 'node:fs';
import { CubitError } from '../core/errors.ts';

/** A file that the command line names. Throws `invalid_request` with what to do. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'does not exist' : code === 'EISDIR' ? 'is a folder' : `cannot be read (${code})`;
    throw new CubitError('invalid_request', `${path} ${why}. Give the path of a file.`, { cause });
  }
}

/** What `parse` makes of a file; its complaints name the file. */
export function parseFile<T>(path: string, parse: (text: string) => T): T {
  const text = readTextFile(path);
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof CubitError)) throw error;
    throw new CubitError(error.code, `${path}: ${error.message}`, { details: error.details, cause: error });
  }
}
