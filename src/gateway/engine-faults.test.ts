import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectEngine } from '../engine/connect.ts';
import { endpoint, Harness, served } from './fixture.ts';
import * as wire from './wire.ts';

/** What engines do wrong on the wire, one outcome each. The gateway has one replica, so nothing hides it. */
const CHAT = '/v1/chat/completions';
const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] };
const LIMITS = { frameBytesMax: 64 * 1024, answerBytesMax: 64 * 1024 };
/** Only where a time-out is what is to be seen: a busy machine takes its time for everything else. */
const IMPATIENT = { firstTokenMsMax: 150, answerMsMax: 150 };
const IMPATIENT_LATER = { chunkMsMax: 150 };

const send = (...parts: (string | Buffer)[]): wire.WireAnswer => {
  return (socket) => {
    for (const part of parts) socket.write(part);
  };
};
const thenEnd = (...parts: (string | Buffer)[]): wire.WireAnswer => {
  return (socket) => {
    for (const part of parts) socket.write(part);
    socket.end();
  };
};
const { chunk, DONE, document, HEAD_JSON, HEAD_SSE, LAST_CHUNK, token, usage, wholeStream } = wire;
const choice = { index: 0, message: { role: 'assistant', content: 'a' }, finish_reason: 'stop' };
const comments: wire.WireAnswer = (socket) => {
  socket.write(HEAD_SSE);
  const timer = setInterval(() => socket.write(chunk(': ping\n\n')), 20);
  socket.once('close', () => clearInterval(timer));
};
const flood: wire.WireAnswer = (socket) => {
  const push = () => {
    while (!socket.destroyed && socket.write('x'.repeat(64 * 1024)));
  };
  socket.write(HEAD_JSON + '\r\n');
  socket.on('drain', push);
  push();
};

async function ask(answer: wire.WireAnswer, stream: boolean, limits: object = {}) {
  const engine = await new wire.WireEngine(answer).listen();
  const harness = new Harness({ ...LIMITS, ...limits }, { connect: connectEngine });
  await harness.start(endpoint({ servedModels: [served({ replicas: [engine.replica('rep-1')] })] }));
  const response = await harness.post(CHAT, { ...BODY, stream });
  const text = await response.text();
  await harness.idle();
  const [stats] = harness.gateway.stats().servedModels;
  expect(stats).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0, queued: 0 });
  expect(stats?.reservedUs).toBe((stats?.settledUs ?? 0) + (stats?.returnedUs ?? 0));
  const { receipts } = harness;
  expect(receipts).toHaveLength(1);
  await harness[Symbol.asyncDispose]();
  await engine.close();
  const code = /"code":"(\w+)"/.exec(text)?.[1] ?? null;
  return { status: response.status, text, code, receipt: receipts[0]!, requests: engine.requests };
}

describe('before the first byte', () => {
  it.each<[string, wire.WireAnswer, 'stream' | 'whole', number, string]>([
    ['no HTTP', send('SSH-2.0-OpenSSH_9.9\r\n'), 'whole', 502, 'engine_failed'],
    ['closes without a byte', thenEnd(), 'whole', 502, 'engine_failed'],
    ['accepts and stays silent, asked for a stream', send(), 'stream', 504, 'engine_timeout'],
    ['accepts and stays silent, asked for an answer', send(), 'whole', 504, 'engine_timeout'],
    ['sends a head and nothing more', send(HEAD_SSE), 'stream', 504, 'engine_timeout'],
    ['sends comments for ever', comments, 'stream', 504, 'engine_timeout'],
    ['headers without end', send(`HTTP/1.1 200 OK\r\nx: ${'y'.repeat(200_000)}`), 'whole', 502, 'engine_failed'],
    [
      'two lengths',
      thenEnd(`${HEAD_JSON}content-length: 2\r\ncontent-length: 3\r\n\r\n{}x`),
      'whole',
      502,
      'engine_failed',
    ],
    [
      'a length and chunks at once',
      thenEnd(`${HEAD_JSON}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}`),
      'whole',
      502,
      'engine_failed',
    ],
    [
      'less than its length',
      thenEnd(`${HEAD_JSON}content-length: 900\r\n\r\n{"choices":[`),
      'whole',
      502,
      'engine_failed',
    ],
    ['chunks cut off', thenEnd(HEAD_SSE, '40\r\ndata: {"cho'), 'stream', 502, 'engine_failed'],
    ['chunk sizes that are none', thenEnd(HEAD_SSE, 'zz\r\nxx\r\n'), 'stream', 502, 'engine_failed'],
    ['JSON to who asked for a stream', send(document({ choices: [choice] })), 'stream', 502, 'engine_failed'],
    ['a stream to who asked for JSON', send(...wholeStream(token('a') + DONE)), 'whole', 502, 'engine_failed'],
    [
      'HTML',
      send('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>'),
      'whole',
      502,
      'engine_failed',
    ],
    ['200 without choices', send(document({ id: 'c', usage: {} })), 'whole', 502, 'engine_failed'],
    ['choices that are no list', send(document({ choices: 'yes' })), 'whole', 502, 'engine_failed'],
    ['more than is taken, without end', flood, 'whole', 502, 'engine_failed'],
    ['an event without end', send(HEAD_SSE, chunk(`data: ${'x'.repeat(100_000)}`)), 'stream', 502, 'engine_failed'],
    ['a stream without choices', send(...wholeStream(`data: {"id":"c"}\n\n${DONE}`)), 'stream', 502, 'engine_failed'],
    [
      'a redirect',
      send('HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n'),
      'whole',
      502,
      'engine_failed',
    ],
    ['204', send('HTTP/1.1 204 No Content\r\n\r\n'), 'whole', 502, 'engine_failed'],
    ['500', send('HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n'), 'whole', 502, 'engine_failed'],
    ['503', send('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n'), 'stream', 503, 'engine_unavailable'],
    [
      '429 with a body without end',
      (socket) => {
        socket.write('HTTP/1.1 429 Too Many Requests\r\n\r\n');
        socket.on('drain', () => socket.write('x'.repeat(9_999)));
        socket.write('x'.repeat(999_999));
      },
      'stream',
      503,
      'engine_unavailable',
    ],
  ])('%s', async (_, answer, kind, status, code) => {
    const got = await ask(answer, kind === 'stream', code === 'engine_timeout' ? IMPATIENT : {});
    expect([got.status, got.code, got.receipt.outcome]).toEqual([status, code, 'failed']);
    expect(got.receipt.actual).toEqual({ prefillUs: 0, decodeUs: 0 });
  });
});

describe('in the middle of a stream', () => {
  const begun = Buffer.concat([Buffer.from(HEAD_SSE), chunk(token('a'))]);
  it.each<[string, wire.WireAnswer, string]>([
    ['closes', thenEnd(begun), 'engine_failed'],
    ['resets', (socket) => void socket.write(begun, () => socket.resetAndDestroy()), 'engine_failed'],
    ['ends its chunks', send(begun, LAST_CHUNK), 'engine_failed'],
    ['breaks its chunks', thenEnd(begun, 'zz\r\n'), 'engine_failed'],
    ['goes silent', send(begun), 'engine_timeout'],
    ['an event without end', send(begun, chunk(`data: ${'x'.repeat(100_000)}`)), 'engine_failed'],
    ['an error event', send(begun, chunk('data: {"error":{"message":"secret","code":500}}\n\n')), 'engine_failed'],
    ['data that is no JSON', send(begun, chunk('data: nonsense\n\n')), 'engine_failed'],
  ])('%s: what came, then an error event', async (_, answer, code) => {
    const got = await ask(answer, true, code === 'engine_timeout' ? IMPATIENT_LATER : {});
    expect([got.status, got.code, got.receipt.outcome]).toEqual([200, code, 'interrupted']);
    expect(got.text).toContain('"content":"a"');
    expect(got.text).not.toContain('secret');
    expect(got.text.split('\n\n').at(-2)).toContain('"error"');
    expect(got.receipt).toMatchObject({ outputTokens: 1, cause: code });
  });
});

describe('answers that are served all the same', () => {
  it('invalid UTF-8 inside an event passes as it is, and ends nothing', async () => {
    const bad = Buffer.from(token('a§b', null));
    bad[bad.indexOf(0xc2)] = 0xff;
    const got = await ask(
      send(HEAD_SSE, chunk(token('ok')), chunk(bad), chunk(token('', 'stop') + DONE), LAST_CHUNK),
      true,
    );
    expect([got.receipt.outcome, got.receipt.outputTokens]).toEqual(['completed', 2]);
    expect(got.text).toContain('[DONE]');
  });

  it('a stream that is done without saying why is complete', async () => {
    const got = await ask(send(...wholeStream(token('a') + DONE)), true);
    expect(got.receipt).toMatchObject({ outcome: 'completed', cause: 'complete', outputTokens: 1 });
  });

  it('an answer after its deadline is not heard any more', async () => {
    const got = await ask(
      (socket) => void setTimeout(() => socket.write(document({ choices: [choice] })), 300).unref(),
      false,
      IMPATIENT,
    );
    expect([got.status, got.code]).toEqual([504, 'engine_timeout']);
  });

  it.each<[string, unknown]>([
    ['no usage', undefined],
    ['null', null],
    ['text', 'nine'],
    ['negative', { prompt_tokens: -5, completion_tokens: -1 }],
    ['huge', { prompt_tokens: 9e15, completion_tokens: 9e15 }],
    ['fractions', { prompt_tokens: 1.5, completion_tokens: 2 }],
    [
      'more cached than there is',
      { prompt_tokens: 9, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 1e6 } },
    ],
  ])('usage that lies (%s) never makes work negative, endless or unknown', async (_, stated) => {
    for (const stream of [true, false]) {
      const frames = token('a') + token('b') + token('', 'stop') + (stated === undefined ? '' : usage(stated)) + DONE;
      const answer = stream ? send(...wholeStream(frames)) : send(document({ choices: [choice], usage: stated }));
      const { receipt, status } = await ask(answer, stream);
      expect([status, receipt.outcome]).toEqual([200, 'completed']);
      const { prefillUs, decodeUs } = receipt.actual;
      for (const us of [prefillUs, decodeUs]) expect(Number.isSafeInteger(us) && us >= 0).toBe(true);
      expect(receipt.promptTokens).toBeLessThanOrEqual(4_096);
      expect(receipt.outputTokens).toBeLessThanOrEqual(4_096);
      expect(receipt.cachedTokens).toBeLessThanOrEqual(receipt.promptTokens);
    }
  });
});

describe('what a client sends reaches the engine as it was checked', () => {
  it('of duplicate keys the last counts, here and there', async () => {
    const engine = await new wire.WireEngine(wire.answerWell).listen();
    await using harness = new Harness(LIMITS, { connect: connectEngine });
    await harness.start(endpoint({ servedModels: [served({ replicas: [engine.replica('rep-1')] })] }));
    const text =
      '{"model":"x","model":"demo","max_tokens":9999,"messages":[],"messages":[{"role":"user","content":"hi"}],"max_tokens":3}';
    expect((await harness.post(CHAT, text)).status).toBe(200);
    const sent = engine.requests[0]?.split('\r\n\r\n')[1] ?? '';
    expect(sent.match(/"max_tokens"/g)).toHaveLength(1);
    expect(JSON.parse(sent)).toMatchObject({ model: 'm', max_tokens: 3, messages: [{ role: 'user', content: 'hi' }] });
    const bad = text.replace('"max_tokens":3}', '"max_tokens":-1}');
    expect((await harness.post(CHAT, bad)).status).toBe(400);
    await engine.close();
  });
});

describe('TLS and names', () => {
  const before = getCACertificates('default');
  beforeAll(() => setDefaultCACertificates([...before, wire.sampleOf('tls-ca.pem').toString()]));
  afterAll(() => setDefaultCACertificates(before));

  const askAt = async (url: (engine: wire.WireEngine) => string, certificate: string | null) => {
    const engine = await new wire.WireEngine(wire.answerWell, certificate).listen();
    await using harness = new Harness(LIMITS, { connect: connectEngine });
    await harness.start(endpoint({ servedModels: [served({ replicas: [engine.replica('rep-1', url(engine))] })] }));
    const answer = await harness.post(CHAT, BODY);
    const { status } = answer;
    const text = await answer.text();
    await engine.close();
    return [
      status,
      /"code":"(\w+)"/.exec(text)?.[1] ?? null,
      harness.receipts[0]?.outcome,
      harness.logs.join(''),
    ] as const;
  };
  const at = (scheme: string) => (engine: wire.WireEngine) => `${scheme}://127.0.0.1:${engine.port}`;

  it('a sound certificate is accepted', async () => {
    expect((await askAt(at('https'), 'tls-sound.pem')).slice(0, 3)).toEqual([200, null, 'completed']);
  });

  it.each([
    ['an expired certificate', 'https', 'tls-expired.pem', /CERT_HAS_EXPIRED/],
    ['one of another host', 'https', 'tls-other-host.pem', /ERR_TLS_CERT_ALTNAME_INVALID/],
    ['no TLS on a TLS port', 'https', null, /ERR_SSL_|EPROTO/],
  ])('%s: 503, and the log says what is wrong', async (_, scheme, certificate, why) => {
    const [status, code, outcome, log] = await askAt(at(scheme), certificate);
    expect([status, code, outcome]).toEqual([503, 'engine_unavailable', 'failed']);
    expect(log).toMatch(why);
  });

  it('TLS on a port that is spoken to without: 502', async () => {
    expect((await askAt(at('http'), 'tls-sound.pem')).slice(0, 3)).toEqual([502, 'engine_failed', 'failed']);
  });

  it('a name that does not resolve: 503', async () => {
    const got = await askAt(() => 'http://engine.invalid:8000', null);
    expect(got.slice(0, 3)).toEqual([503, 'engine_unavailable', 'failed']);
  });
});
