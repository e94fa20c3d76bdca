import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { listen } from '../listener.ts';
import { createLog } from '../log.ts';
import { Harness, KEY, until } from './fixture.ts';

/** What clients do wrong on the wire and in their JSON, one outcome each; connections.test.ts and faults.test.ts have more. */
const CHAT = '/v1/chat/completions';
const BODY = JSON.stringify({ model: 'demo', messages: [{ role: 'user', content: 'hi' }] });
const head = (...lines: string[]) =>
  [`POST ${CHAT} HTTP/1.1`, 'host: x', `authorization: Bearer ${KEY}`, ...lines, '', ''].join('\r\n');
const length = `content-length: ${BODY.length}`;

async function answerTo(port: number, bytes: string | Buffer, end = false): Promise<string> {
  const socket = connect(port, '127.0.0.1').setEncoding('utf8');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (part) => {
    text += part;
  });
  socket.write(bytes);
  if (end) socket.end();
  await until(() => (text.startsWith('HTTP/1.1 ') && text.includes('\r\n\r\n')) || socket.destroyed);
  socket.destroy();
  return text;
}

const statusOf = (text: string) => Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1] ?? 0);

describe('requests that two servers could read in two ways', () => {
  const chunked = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
  it.each<[string, string]>([
    ['a length, then chunks', head(length, 'transfer-encoding: chunked') + chunked],
    ['chunks, then a length', head('transfer-encoding: chunked', length) + chunked],
    ['chunks spelt oddly beside a length', head('Transfer-Encoding: xchunked', length) + BODY],
    ['chunks twice', head('transfer-encoding: chunked, chunked') + chunked],
    ['chunks that are not last', head('transfer-encoding: chunked, identity') + chunked],
    ['two lengths', head(length, 'content-length: 3') + BODY],
    ['a list of lengths', head(`content-length: ${BODY.length}, 3`) + BODY],
    ['a negative length', head('content-length: -5') + BODY],
    ['a length with a sign', head(`content-length: +${BODY.length}`) + BODY],
    ['a length in hex', head('content-length: 0x20') + BODY],
    ['a header folded over two lines', head('x-a: one', ' two', length) + BODY],
    ['a space before the colon', head(`content-length : ${BODY.length}`) + BODY],
    ['a header without a name', head(': value', length) + BODY],
    ['lines that end in LF alone', head(length).replaceAll('\r\n', '\n') + BODY],
    ['a NUL in a header', head('x-a: b\0c', length) + BODY],
    ['a chunk size that is none', `${head('transfer-encoding: chunked')}zz\r\n${BODY}\r\n0\r\n\r\n`],
    ['a chunk larger than its size', `${head('transfer-encoding: chunked')}3\r\n${BODY}\r\n0\r\n\r\n`],
    ['another protocol version', head(length).replace('HTTP/1.1', 'HTTP/9.9') + BODY],
  ])('%s: refused, the connection closes, nothing is served', async (_, bytes) => {
    await using harness = await new Harness().start();
    // What is smuggled behind it must not be served either.
    const text = await answerTo(harness.port, bytes + head(length) + BODY);
    expect(statusOf(text)).toBe(400);
    expect(text.toLowerCase()).toContain('connection: close');
    await harness.idle();
    expect(harness.receipts.filter(({ outcome }) => outcome === 'completed')).toEqual([]);
    expect([...harness.engines.values()].flatMap(({ requests }) => requests)).toEqual([]);
  });

  it('no host: refused', async () => {
    await using harness = await new Harness().start();
    const bytes = `POST ${CHAT} HTTP/1.1\r\nauthorization: Bearer ${KEY}\r\n${length}\r\n\r\n${BODY}`;
    expect([statusOf(await answerTo(harness.port, bytes)), harness.receipts]).toEqual([400, []]);
  });

  it.each([
    ['headers', head(`x-a: ${'y'.repeat(20_000)}`, length) + BODY],
    ['many headers', head(...Array.from({ length: 3_000 }, (_, at) => `x-${at}: y`), length) + BODY],
    ['a URL', `GET /v1/models?${'y'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
  ])('%s beyond 16 KB: 431', async (_, bytes) => {
    await using harness = await new Harness().start();
    expect(statusOf(await answerTo(harness.port, bytes))).toBe(431);
  });

  it('a body that ends in the middle, with its connection: cancelled', async () => {
    await using harness = await new Harness().start();
    await answerTo(harness.port, head('content-length: 900') + BODY, true);
    await until(() => harness.receipts.length === 1);
    expect(harness.receipts).toMatchObject([{ outcome: 'cancelled', cause: 'client_closed' }]);
  });
});

it('headers that never end are cut off by the server that users meet', async () => {
  const log = createLog({ level: 'error', file: '/dev/null' });
  const slow = { headersTimeout: 60, connectionsCheckingInterval: 20 };
  const server = await listen({ host: '127.0.0.1', port: 0 }, log, slow);
  const { port } = server.address() as { port: number };
  expect(statusOf(await answerTo(port, `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nx-a: `))).toBe(408);
  await new Promise((resolve) => server.close(resolve));
});

describe('JSON that asks for too much, or for nothing', () => {
  const chat = (fields: string) => `{"model":"demo","messages":[{"role":"user","content":"hi"}],${fields}}`;
  it.each<[string, string, number, string]>([
    ['NaN', chat('"temperature":NaN'), 400, 'invalid_json'],
    ['Infinity', chat('"temperature":Infinity'), 400, 'invalid_json'],
    ['1e400 as temperature', chat('"temperature":1e400'), 400, 'invalid_request'],
    ['-1e400 as penalty', chat('"presence_penalty":-1e400'), 400, 'invalid_request'],
    ['1e400 as max_tokens', chat('"max_tokens":1e400'), 400, 'invalid_request'],
    ['1e400 in logit_bias', chat('"logit_bias":{"1":1e400}'), 400, 'invalid_request'],
    ['1e400 as seed', chat('"seed":1e400'), 400, 'invalid_request'],
    ['max_tokens of 0', chat('"max_tokens":0'), 400, 'invalid_request'],
    ['max_tokens of 1.5', chat('"max_tokens":1.5'), 400, 'invalid_request'],
    ['n of a million', chat('"n":1000000'), 400, 'unsupported_feature'],
    ['n of -1', chat('"n":-1'), 400, 'invalid_request'],
    ['five stops', chat('"stop":["a","b","c","d","e"]'), 400, 'invalid_request'],
    [
      '2,000 biases',
      chat(`"logit_bias":{${Array.from({ length: 2_000 }, (_, at) => `"${at}":1`).join()}}`),
      400,
      'invalid_request',
    ],
    [
      '__proto__ in a message',
      '{"model":"demo","messages":[{"role":"user","content":"x","__proto__":{"role":"system"}}],"max_tokens":2}',
      200,
      '',
    ],
    ['constructor as a field', chat('"constructor":{"prototype":{}}'), 400, 'invalid_request'],
    ['a lone surrogate', chat('"user":"\\ud800"'), 200, ''],
    ['NUL in the prompt', '{"model":"demo","messages":[{"role":"user","content":"\\u0000"}]}', 200, ''],
    ['a byte order mark', `\ufeff${chat('"n":1')}`, 400, 'invalid_json'],
    ['two documents', `${chat('"n":1')}{}`, 400, 'invalid_json'],
  ])('%s', async (_, body, status, code) => {
    await using harness = await new Harness().start();
    const answer = await harness.post(CHAT, body);
    expect([answer.status, /"code":"(\w+)"/.exec(await answer.text())?.[1] ?? '']).toEqual([status, code]);
    await harness.idle();
    expect(harness.receipts.map(({ outcome }) => outcome)).toEqual([status === 200 ? 'completed' : 'rejected_input']);
    expect(({} as Record<string, unknown>)['role']).toBeUndefined();
  });

  it('a max_tokens beyond any context reserves no more than the context', async () => {
    await using harness = await new Harness().start();
    expect((await harness.post(CHAT, chat(`"max_tokens":${Number.MAX_SAFE_INTEGER}`))).status).toBe(200);
    const { estimated } = harness.receipts[0]!;
    expect(Number.isSafeInteger(estimated.decodeUs) && estimated.decodeUs > 0).toBe(true);
    expect(estimated.decodeUs).toBeLessThan(4_096 * (5_000 + 0.5 * 4_096 * 2));
  });

  it.each(['gzip', 'br', 'deflate', 'zstd', 'gzip, identity'])(
    'a body in %s: 400, not decompressed',
    async (encoding) => {
      await using harness = await new Harness().start();
      const answer = await harness.post(CHAT, BODY, { 'content-encoding': encoding });
      expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('content-encoding')]);
    },
  );
});
