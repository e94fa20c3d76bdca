import { CubitError } from '../core/errors.ts';

const SQLITE_FULL = 13;
const SQLITE_READONLY = 8;
const SQLITE_CANTOPEN = 14;
const SQLITE_CONSTRAINT = 19;
const SQLITE_NOTADB = 26;
const PG_DISK_FULL = '53100';
const PG_UNTRANSLATABLE = '22021';
const PG_LOCK_NOT_AVAILABLE = '55P03';
/** SQLSTATE classes: data exceptions and violated constraints. */
const PG_AT_FAULT = /^2[23]...$/;
/** Growing the shared-memory index of the write-ahead log: fails only for want of room. */
const SQLITE_IOERR_SHMSIZE = 4874;

/** What a person can do something about becomes a CubitError (`disk_full`, `config_invalid`); the rest stays as it is. */
export function storageError(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code, errcode } = error as { code?: unknown; errcode?: unknown };
  if (code === PG_DISK_FULL) {
    return new CubitError(
      'disk_full',
      "The database server's disk is full; nothing was changed. Free some space there.",
      {
        cause: error,
      },
    );
  }
  if (code === PG_UNTRANSLATABLE) {
    return new CubitError('invalid_request', 'Text with the character U+0000 cannot be stored. Leave it out.', {
      cause: error,
    });
  }
  if (code === PG_LOCK_NOT_AVAILABLE) {
    return new CubitError('conflict', 'Another transaction holds what this one needs. Try again in a moment.', {
      cause: error,
    });
  }
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
  const { code, errcode, cause } = (error ?? {}) as { code?: unknown; errcode?: unknown; cause?: unknown };
  if (code === 'invalid_request') return isUnwritable(cause);
  const isConstraint = typeof errcode === 'number' && (errcode & 0xff) === SQLITE_CONSTRAINT;
  return (
    isConstraint ||
    (typeof code === 'string' && PG_AT_FAULT.test(code)) ||
    error instanceof TypeError ||
    error instanceof RangeError
  );
}
