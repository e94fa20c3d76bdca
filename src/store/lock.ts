import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CubitError } from '../core/errors.ts';
import { storageError } from './storage-error.ts';

export interface DataFolderLock {
  release(): void;
}

/** Referenced here too, so that no garbage collection opens a lock that its holder forgot about. */
const held = new Set<DatabaseSync>();

/**
 * Makes the folder if need be and takes it for this process. The lock is one of the operating system's (SQLite's
 * exclusive lock on `cubit.lock`), so a process that dies, by kill -9 too, leaves none behind; `cubit.pid` only says
 * who holds it. Throws `data_folder_locked` with the holder's pid in `details`, or `disk_full`.
 */
export function lockDataFolder(folder: string): DataFolderLock {
  const pidFile = join(folder, 'cubit.pid');
  let database: DatabaseSync | undefined;
  try {
    makeDataFolder(folder);
    database = new DatabaseSync(join(folder, 'cubit.lock'), { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    writeFileSync(pidFile, `${process.pid}\n`);
  } catch (error) {
    database?.close();
    throw isBusy(error) ? alreadyLocked(folder, holderOf(pidFile)) : storageError(error);
  }
  const lock = database;
  held.add(lock);
  return {
    release() {
      if (!held.delete(lock)) return;
      rmSync(pidFile, { force: true });
      lock.close();
    },
  };
}

/** It holds the operator's token and the keys of adopted servers: for its owner only. */
export function makeDataFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
}

function isBusy(error: unknown): boolean {
  return (error as { errcode?: unknown }).errcode === 5;
}

function alreadyLocked(folder: string, pid: number | null): CubitError {
  const holder = pid === null ? 'another process' : `process ${pid}`;
  return new CubitError(
    'data_folder_locked',
    `The data folder ${folder} is in use by ${holder}. Stop that one first, or choose another data folder.`,
    { details: { folder, pid } },
  );
}

/** null while the holder is only just starting: the file is missing, or still names a process that is gone. */
function holderOf(pidFile: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(pidFile, 'utf8'), 10);
    return isAlive(pid) ? pid : null;
  } catch {
    return null;
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: unknown }).code === 'EPERM'; // there, and another user's
  }
}
