import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { textOf } from './call.ts';
import { HttpClient, httpTransport } from './client.ts';

interface Seen {
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const seen: Seen[] = [];
const server = createServer(async (req, res) => {
  const parts: Buffer[] = [];
  for await (const part of req) parts.push(part as Buffer);
  seen.push({ url: req.url, headers: req.headers, body: Buffer.concat(parts).toString() });
  res.writeHead(200, { 'content-type': 'application/json' }).end('{"ok":true}');
});
const never = new AbortController().signal;
let url = '';

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

test('any text arrives as it was, with its length in bytes, host, key and own headers', async () => {
  const client = new HttpClient(httpTransport(url, 'sk-upstream'));
  for (const prompt of ['plain', 'naïve — 日本語 😀', '\ud800 alone', 'x'.repeat(2 ** 20)]) {
    const body = { model: 'm', prompt };
    const call = await client.post('/v1/completions', body, ['x-request-id', 'req-1'], never, () => {});
    expect(await textOf(call, 1_000)).toBe('{"ok":true}');
    const got = seen.at(-1) as Seen;
    expect(got.url).toBe('/v1/completions');
    expect(JSON.parse(got.body)).toEqual(body);
    expect(got.headers).toEqual({
      host: new URL(url).host,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(JSON.stringify(body))),
      authorization: 'Bearer sk-upstream',
      'x-request-id': 'req-1',
    });
  }
  await client.close();
});

test('nothing that could begin another header is sent', async () => {
  expect(() => new HttpClient(httpTransport(url, 'sk\r\nx-evil: 1'))).toThrow(/characters that no key can have/);
  const client = new HttpClient(httpTransport(url, null));
  const before = seen.length;
  for (const value of ['a\r\nx-evil: 1', 'a\nb', '\0', 'é']) {
    const post = client.post('/v1/completions', {}, ['x-request-id', value], never, () => {});
    await expect(post).rejects.toMatchObject({ code: 'engine_failed' });
  }
  expect(seen.length).toBe(before);
  await client.close();
});
