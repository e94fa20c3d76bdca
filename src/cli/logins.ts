import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { CubitError } from '../core/errors.ts';

/** Tokens that `cubit login` keeps, by the address of the Cubit that each is for. */
const Logins = z.record(z.string(), z.string());

export function loginsPath(env: NodeJS.ProcessEnv): string {
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'cubit', 'logins.json');
}

/** null: never logged in there. Throws `config_invalid` when the file cannot be read. */
export function loginFor(url: string, env: NodeJS.ProcessEnv): string | null {
  return readLogins(loginsPath(env))[url] ?? null;
}

/** Keeps the token, readable by this user only; null forgets it. */
export function keepLogin(url: string, token: string | null, env: NodeJS.ProcessEnv): void {
  const path = loginsPath(env);
  const { [url]: _before, ...others } = readLogins(path);
  const logins = token === null ? others : { ...others, [url]: token };
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (Object.keys(logins).length === 0) {
    rmSync(path, { force: true });
    return;
  }
  // Written aside and moved: a kill between the two loses no login.
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, `${JSON.stringify(logins, null, 2)}\n`, { mode: 0o600 });
  chmodSync(aside, 0o600);
  renameSync(aside, path);
}

function readLogins(path: string): z.output<typeof Logins> {
  try {
    return Logins.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new CubitError('config_invalid', `${path} cannot be read. Repair it, or delete it and log in again.`, {
      cause: error,
    });
  }
}
