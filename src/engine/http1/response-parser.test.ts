import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ProtocolError, ResponseParser } from './response-parser.ts';

interface Read {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly whole: boolean;
  readonly reusable: boolean;
  readonly refused: boolean;
}

/** Gives the parser an answer cut at some points, then the connection's end when `closes`. */
function read(text: string, cuts: readonly number[] = [], closes = false): Read {
  const bytes = Buffer.from(text, 'latin1');
  const found = { status: 0, contentType: '', body: '', whole: false, refused: false };
  const parser = new ResponseParser({
    onHead: ({ status, contentType }) => Object.assign(found, { status, contentType }),
    onBody: (part) => {
      found.body += part.toString('latin1');
    },
    onEnd: () => {
      found.whole = true;
    },
  });
  parser.expect();
  const points = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  try {
    points.slice(1).forEach((end, index) => {
      parser.take(bytes.subarray(points[index], end));
    });
    if (closes) parser.close();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    found.refused = true;
  }
  return { ...found, reusable: parser.reusable };
}

const OK = 'HTTP/1.1 200 OK\r\n';
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`;
const chunksOf = (parts: readonly string[]) =>
  parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('');

const bodies = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' }), { maxLength: 6 });
const cutsOf = fc.array(fc.nat(2_000), { maxLength: 12 });

test('an answer reads the same wherever the network cuts it, with a length, in chunks, or up to the close', () => {
  fc.assert(
    fc.property(bodies, cutsOf, fc.constantFrom('length', 'chunks', 'close'), (parts, cuts, framing) => {
      const body = parts.join('');
      const head = `HTTP/1.1 100 Continue\r\n\r\n${OK}content-type: text/plain\r\n`;
      const text = {
        length: `${head}Content-Length: ${body.length}\r\n\r\n${body}`,
        chunks: `${head}Transfer-Encoding: chunked\r\n\r\n${chunksOf(parts)}0;last\r\ntrailer: x\r\n\r\n`,
        close: `${head}\r\n${body}`,
      }[framing];
      const found = read(text, cuts, framing === 'close');
      const expected = { status: 200, contentType: 'text/plain', body, whole: true, refused: false };
      expect(found).toEqual({ ...expected, reusable: framing !== 'close' });
    }),
  );
});

test('mutated answers are read or refused alike wherever they are cut, and nothing else is thrown', () => {
  const base = `${OK}content-type: a\r\ntransfer-encoding: chunked\r\n\r\n${chunksOf(['hello', 'world'])}0\r\n\r\n`;
  const mutation = fc.record({
    at: fc.nat(base.length),
    cut: fc.nat(4),
    put: fc.constantFrom('', '\r', '\n', '\0', ':', ' ', '0', 'f', 'é'),
  });
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 3 }), cutsOf, (mutations, cuts) => {
      const text = mutations.reduce((all, { at, cut, put }) => all.slice(0, at) + put + all.slice(at + cut), base);
      const whole = read(text, [], true);
      const cutUp = read(text, cuts, true);
      expect([cutUp.refused, cutUp.whole, cutUp.status]).toEqual([whole.refused, whole.whole, whole.status]);
      if (whole.whole) expect(cutUp.body).toBe(whole.body);
    }),
    { numRuns: 1_000 },
  );
});

test.each([
  ['two lengths', `${OK}content-length: 1\r\ncontent-length: 1\r\n\r\nx`],
  ['a list of lengths', `${OK}content-length: 1, 1\r\n\r\nx`],
  ['a signed length', `${OK}content-length: +1\r\n\r\nx`],
  ['a length and chunks', `${OK}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['chunks twice', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['another coding', `${OK}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
  ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
  ['a status of no meaning', 'HTTP/1.1 999 OK\r\n\r\n'],
  ['another protocol from here on', 'HTTP/1.1 101 Switching\r\n\r\n'],
  ['interim answers without end', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(9)],
  ['a blank before the colon', `${OK}content-length : 1\r\n\r\nx`],
  ['a folded line', `${OK}a: b\r\n c\r\n\r\n`],
  ['a line feed alone', `${OK}a: b\ncontent-length: 1\r\n\r\nx`],
  ['a carriage return alone', `${OK}a: b\rc\r\n\r\n`],
  ['a NUL', `${OK}a: \0\r\n\r\n`],
  ['a head without end', `${OK}a: ${'x'.repeat(40_000)}`],
  ['a head that is too long', `${OK}a: ${'x'.repeat(40_000)}\r\n\r\n`],
  ['a chunk without a size', `${CHUNKED}\r\nx`],
  ['a size that is no number', `${CHUNKED}0x5\r\nhello\r\n`],
  ['a signed size', `${CHUNKED}-5\r\nhello\r\n`],
  ['a blank before a size', `${CHUNKED} 5\r\nhello\r\n`],
  ['a size that is too large', `${CHUNKED}fffffffff\r\n`],
  ['an extension without end', `${CHUNKED}5;${'x'.repeat(2_000)}`],
  ['a line feed in an extension', `${CHUNKED}5;a\nb\r\nhello\r\n`],
  ['a chunk longer than it says', `${CHUNKED}4\r\nhello\r\n`],
  ['a trailer that is none', `${CHUNKED}0\r\nnothing\r\n\r\n`],
  ['trailers without end', `${CHUNKED}0\r\n${'a: b\r\n'.repeat(4_000)}`],
])('%s is refused', (_name, text) => {
  expect(read(text)).toMatchObject({ refused: true, reusable: false });
});

test('bytes behind a whole answer are refused: the connection cannot be told from a poisoned one', () => {
  expect(read(`${OK}content-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n`)).toMatchObject({
    body: 'x',
    whole: true,
    refused: true,
  });
});

test('an answer that breaks off is refused, and one without content is whole at once', () => {
  expect(read(`${OK}content-length: 5\r\n\r\nhell`, [], true)).toMatchObject({ whole: false, refused: true });
  expect(read(`${CHUNKED}5\r\nhello\r\n`, [], true)).toMatchObject({ whole: false, refused: true });
  expect(read('HTTP/1.1 204 No Content\r\n\r\n')).toMatchObject({ status: 204, whole: true, reusable: true });
  expect(read(`${OK}content-length: 0\r\n\r\n`)).toMatchObject({ whole: true, reusable: true });
});

test('a connection is kept unless the server says otherwise, and never after HTTP/1.0 without keep-alive', () => {
  const reusable = (text: string) => read(text).reusable;
  expect(reusable(`${OK}content-length: 0\r\nConnection: Close\r\n\r\n`)).toBe(false);
  expect(reusable(`${OK}content-length: 0\r\nconnection: foo, close\r\n\r\n`)).toBe(false);
  expect(reusable('HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n')).toBe(false);
  expect(reusable('HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n')).toBe(true);
});
