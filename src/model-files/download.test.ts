import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { readNetworks } from '../public-address.ts';
import { createDownload } from './download.ts';

/** A server with a certificate of the samples' own authority, which only `ca` makes known. */
const sample = (name: string) => readFileSync(new URL(`../gateway/samples/${name}`, import.meta.url));
const pem = sample('tls-sound.pem');
const ca = sample('tls-ca.pem').toString();
const BODY = Buffer.alloc(300_000, 'weights ');
const sha256 = createHash('sha256').update(BODY).digest('hex');
const root = mkdtempSync(join(tmpdir(), 'cubit-test-'));
const asked: string[] = [];
const server = createServer({ key: pem, cert: pem }, answer);
let origin: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
beforeEach(() => {
  asked.length = 0;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(root, { recursive: true, force: true });
});

/** `/hops/3` leads over 3 redirects to the file, `/to?URL` to that URL, `/cut` ends early; `/file` is it. */
function answer({ url = '' }: IncomingMessage, response: ServerResponse): void {
  asked.push(url);
  const hops = /^\/hops\/(\d+)$/.exec(url)?.[1];
  if (url === '/file') response.end(BODY);
  else if (hops !== undefined) {
    response.writeHead(302, { location: hops === '1' ? '/file' : `/hops/${Number(hops) - 1}` }).end();
  } else if (url.startsWith('/to?')) response.writeHead(307, { location: url.slice(4) }).end();
  else if (url === '/cut') {
    response.writeHead(200, { 'content-length': BODY.length });
    response.write(BODY.subarray(0, 1000), () => response.destroy());
  } else response.writeHead(404).end();
}

const path = join(root, 'model.gguf');
function fetchIt(url: string, more: { sha256?: string; bytesMax?: number; allow?: string; ca?: string } = {}) {
  const { allow = '127.0.0.1', bytesMax = BODY.length } = more;
  const download = createDownload(readNetworks(allow, 'modelAllow'), more.ca ?? ca);
  return download({ url, path, sha256: more.sha256 ?? sha256, bytesMax });
}

it.each([['/file'], ['/hops/1'], ['/hops/5']])('fetches %s whole', async (from) => {
  await fetchIt(`${origin}${from}`);
  expect(readFileSync(path).equals(BODY)).toBe(true);
  expect(readdirSync(root)).toEqual(['model.gguf']);
  expect(asked.at(-1)).toBe('/file');
  rmSync(path);
});

it.each<[string, string, Parameters<typeof fetchIt>[1], string, RegExp]>([
  ['another sha256', '/file', { sha256: '0'.repeat(64) }, 'invalid_request', /another sha256/],
  ['more bytes than may be', '/file', { bytesMax: BODY.length - 1 }, 'body_too_large', /299999 bytes/],
  ['a sixth redirect', '/hops/6', {}, 'invalid_request', /more than 5 times/],
  ['a redirect to http', '/to?http://127.0.0.1/file', {}, 'invalid_request', /Only https/],
  ['a redirect to an address inside', '/to?https://10.0.0.1/file', {}, 'invalid_request', /10\.0\.0\.1 is not on/],
  ['an address that nobody allowed', '/file', { allow: '' }, 'invalid_request', /127\.0\.0\.1 is not on/],
  ['no file', '/nothing', {}, 'invalid_request', /answers 404/],
  ['an answer that is cut', '/cut', {}, 'invalid_request', /could not be fetched/],
  ['a certificate that nobody vouches for', '/file', { ca: pem.toString() }, 'invalid_request', /could not be fetched/],
])('refuses %s, and leaves nothing', async (_, from, options, code, message) => {
  const refused = await fetchIt(`${origin}${from}`, options).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(readdirSync(root)).toEqual([]);
});
