import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { endpoint, Harness, KEY, replica, served, until } from './fixture.ts';

const BODY = { model: 'demo', messages: [{ role: 'user' as const, content: 'hi' }] };
const STREAM = { ...BODY, stream: true as const };
const CHAT = '/v1/chat/completions';

const headOf = (length: number | string, more = '') =>
  `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\n${more}content-length: ${length}\r\n\r\n`;

/** What comes back for raw bytes, up to where it is enough. */
async function exchanged(harness: Harness, bytes: string, enough: (text: string) => boolean): Promise<string> {
  const socket = connect(harness.port, '127.0.0.1').setEncoding('utf8');
  let text = '';
  socket.on('error', () => {});
  socket.on('data', (part) => {
    text += part;
  });
  socket.write(bytes, 'latin1');
  await until(() => enough(text));
  socket.destroy();
  return text;
}

const statusesOf = (text: string) => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);

/** The ledger of work is even and nothing is held. */
function expectSettled(harness: Harness): void {
  for (const stats of harness.gateway.stats().servedModels) {
    expect(stats).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0, queued: 0 });
    expect(stats.reservedUs).toBe(stats.settledUs + stats.returnedUs);
  }
}

describe('connections', () => {
  it('gets a stream in whole HTTP chunks, or to HTTP/1.0 as it is, ended by the connection', async () => {
    await using harness = await new Harness().start();
    const body = JSON.stringify(STREAM);
    const ended = (text: string) => text.includes('[DONE]\n\n\r\n0\r\n\r\n') || text.endsWith('[DONE]\n\n');
    const [head = '', chunks = ''] = (await exchanged(harness, headOf(body.length) + body, ended)).split('\r\n\r\n');
    expect(head).toContain('Transfer-Encoding: chunked');
    expect(Number.parseInt(chunks, 16)).toBeGreaterThan(100);
    const old = headOf(body.length).replace('HTTP/1.1', 'HTTP/1.0');
    const [oldHead = '', frames = ''] = (await exchanged(harness, old + body, ended)).split('\r\n\r\n');
    expect(oldHead.toLowerCase()).toContain('connection: close');
    expect(frames.startsWith('data: {')).toBe(true);
    expect(frames).not.toContain('\r\n');
  });

  it('one goes on after a refusal whose body was not read', async () => {
    await using harness = await new Harness().start();
    const body = JSON.stringify(BODY);
    const text = await exchanged(
      harness,
      `${headOf(9, 'content-encoding: gzip\r\n')}not gzip!${headOf(body.length)}${body}`,
      (all) => all.includes('200 OK') && all.includes('"usage"'),
    );
    expect(statusesOf(text)).toEqual(['400', '200']);
  });

  it('pipelined requests are answered in order; when their client leaves, all of them end', async () => {
    await using harness = await new Harness().start();
    const body = JSON.stringify(BODY);
    const one = headOf(body.length) + body;
    const text = await exchanged(harness, one + one + one, (all) => statusesOf(all).length === 3);
    expect(statusesOf(text)).toEqual(['200', '200', '200']);
    expect(text.match(/x-request-id: \S+/g)).toEqual([1, 2, 3].map((id) => `x-request-id: req-${id}`));

    harness.script = () => ({ tokens: 100_000, chunkMs: 5 });
    const stream = JSON.stringify(STREAM);
    const socket = connect(harness.port, '127.0.0.1');
    socket.write((headOf(stream.length) + stream).repeat(2));
    const engine = harness.engines.get('rep-1')!;
    await until(() => engine.running === 2);
    socket.destroy();
    await until(() => engine.running === 0);
    await harness.idle();
    expect(harness.receipts.slice(3).map((receipt) => receipt.outcome)).toEqual(['cancelled', 'cancelled']);
    expectSettled(harness);
  });

  it.each<[string, string, string]>([
    ['a length and chunks at once', `${headOf(5).trimEnd()}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`, '400'],
    ['a length that is no number', headOf('five'), '400'],
    ['headers without end', `GET /v1/models HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, '431'],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\r\n\r\n', '400'],
  ])('%s is refused, and costs nothing', async (_, bytes, status) => {
    await using harness = await new Harness().start();
    const text = await exchanged(harness, bytes, (all) => all.includes('\r\n\r\n'));
    expect(statusesOf(text)).toEqual([status]);
    expect(harness.receipts).toEqual([]);
  });
});

describe('a clock that jumps', () => {
  it('moves nothing but stamps: neither waits, nor latencies, nor what is held', async () => {
    let jumpMs = 0;
    const now = () => Date.now() + jumpMs;
    await using harness = new Harness({}, { now });
    await harness.start(endpoint({ maxWaitMs: 5_000, servedModels: [served({ batchPerUnit: 1 })] }));
    harness.script = () => ({ firstMs: 100, tokens: 4, chunkMs: 5 });
    const answers = [1, 2].map(() => harness.post(CHAT, STREAM));
    await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
    jumpMs = 86_400_000;
    expect((await answers[0])?.status).toBe(200);
    jumpMs = -86_400_000;
    expect(await (await answers[1])?.text()).toContain('[DONE]');
    await harness.idle();
    for (const { waitMs, ttftMs, tpotMs } of harness.receipts) {
      for (const ms of [waitMs, ttftMs, tpotMs]) {
        expect(ms).toBeGreaterThanOrEqual(0);
        expect(ms).toBeLessThan(5_000);
        // No noise behind the microsecond.
        expect(ms).toBe(Number(ms?.toFixed(3)));
      }
    }
    expectSettled(harness);
  });

  it('set back, promises no unit later than one that starts now', async () => {
    const starting = served({ replicas: [replica('rep-1', { state: 'starting', address: null, startedAtMs: 1e13 })] });
    await using harness = await new Harness().start(endpoint({ servedModels: [starting] }));
    const answer = await harness.post(CHAT, BODY);
    expect(await answer.json()).toMatchObject({ error: { details: { etaMs: 60_000 } } });
  });
});
