import { CubitError } from '../core/errors.ts';

const SQLITE_FULL = 13;
const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;
const SQLITE_CONSTRAINT = 19;
const SQLITE_NOTADB = 26;
/** Growing the shared-memory index of the write-ahead log: fails only for want of room. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** What a person can do something about becomes a CubitError (`disk_full`, `config_invalid`); the rest stays as it is. */
export function storageError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (code === 'ENOSPC' || errcode === SQLITE_FULL || errcode === SQLITE_IOERR_SHMSIZE) {
    return new CubitError(
      'disk_full',
      'The disk of the data folder is full; nothing was changed. Free some space and try again.',
      { cause: error },
    );
  }
  if (errcode === SQLITE_NOTADB) {
    return new CubitError(
      'config_invalid',
      'The database file is not a SQLite database. Choose another data folder, or restore the file from a backup.',
      { cause: error },
    );
  }
  const unwritable = code === 'EACCES' || code === 'EROFS' || code === 'EEXIST' || code === 'ENOTDIR';
  if (unwritable || errcode === SQLITE_READONLY || errcode === SQLITE_CANTOPEN) {
    return new CubitError(
      'config_invalid',
      'The data folder cannot be written. Give this user the right to, or choose another data folder.',
      { cause: error },
    );
  }
  return error;
}

/** True when the data itself is at fault (a violated constraint, a value of the wrong type): trying again is useless. */
export function isUnwritable(error: unknown): boolean {
  const errcode = (error as { errcode?: unknown } | null)?.errcode;
  const isConstraint = typeof errcode === 'number' && (errcode & 0xff) === SQLITE_CONSTRAINT;
  return isConstraint || error instanceof TypeError || error instanceof RangeError;
}
