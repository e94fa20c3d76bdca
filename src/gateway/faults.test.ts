import { connect } from 'node:net';
import OpenAI from 'openai';
import { describe, expect, it } from 'vitest';
import { endpoint, Harness, KEY, pause, replica, type Script, served, until } from './fixture.ts';

const BODY = { model: 'demo', messages: [{ role: 'user' as const, content: 'hi' }] };
const STREAM = { ...BODY, stream: true as const };
const CHAT = '/v1/chat/completions';
const NOTHING = { prefillUs: 0, decodeUs: 0 };

const headOf = (length: number | string, more = '') =>
  `POST ${CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\n${more}content-length: ${length}\r\n\r\n`;

/** The ledger of work is even and nothing is held. */
function expectSettled(harness: Harness): void {
  for (const stats of harness.gateway.stats().servedModels) {
    expect(stats).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0, queued: 0 });
    expect(stats.reservedUs).toBe(stats.settledUs + stats.returnedUs);
  }
}

const two = () => endpoint({ servedModels: [served({ replicas: [replica('rep-1'), replica('rep-2')] })] });

describe('bad bodies', () => {
  const post = (harness: Harness, body: string | Uint8Array, headers = {}) => harness.post(CHAT, body, headers);

  it.each<[string, string | Uint8Array, number, string]>([
    ['nothing', '', 400, 'invalid_json'],
    ['half JSON', '{"model":', 400, 'invalid_json'],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 400, 'invalid_json'],
    ['an array', '[]', 400, 'invalid_request'],
    ['null', 'null', 400, 'invalid_request'],
    ['no model', '{}', 400, 'invalid_request'],
    ['a model that is no name', '{"model":5}', 400, 'invalid_request'],
    ['an unknown model', '{"model":"x"}', 404, 'model_not_found'],
    ['a prototype’s name as model', '{"model":"__proto__"}', 404, 'model_not_found'],
    ['no messages', '{"model":"demo"}', 400, 'invalid_request'],
    [
      'an own __proto__',
      '{"model":"demo","messages":[{"role":"user","content":"x"}],"__proto__":{}}',
      400,
      'invalid_request',
    ],
    ['deep nesting', `{"model":"demo","messages":${'['.repeat(5_000)}${']'.repeat(5_000)}}`, 400, 'invalid_request'],
  ])('%s', async (_, body, status, code) => {
    await using harness = await new Harness().start();
    const answer = await post(harness, body);
    expect(answer.status).toBe(status);
    expect(await answer.json()).toMatchObject({
      error: { code, message: expect.any(String), type: 'invalid_request_error' },
    });
    await harness.idle();
    expect(harness.receipts).toHaveLength(1);
    expectSettled(harness);
  });

  it('explicit nulls are absent fields, also in messages', async () => {
    await using harness = await new Harness().start();
    const nulls = Object.fromEntries(
      ['tools', 'n', 'logprobs', 'stop', 'thinking', 'stream', 'functions'].map((n) => [n, null]),
    );
    const messages = [{ role: 'user', content: 'hi', name: null, tool_calls: null }];
    expect((await harness.post('/api/v3/chat/completions', { ...BODY, ...nulls, messages })).status).toBe(200);
    expect(harness.engines.get('rep-1')?.requests[0]?.body).toEqual({ messages: BODY.messages });
  });

  it('refuses a body over the limit, whether its length is said or not', async () => {
    await using harness = await new Harness({ bodyBytesMax: 1_000 }).start();
    const answer = await post(harness, 'x'.repeat(1_001));
    expect([answer.status, answer.headers.get('connection')]).toEqual([413, 'close']);
    const parts = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 3; i += 1) controller.enqueue(Buffer.alloc(500, 'x'));
        controller.close();
      },
    });
    const init = { method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: parts, duplex: 'half' };
    expect((await fetch(harness.url + CHAT, init as RequestInit)).status).toBe(413);
    expect((await post(harness, 'gz', { 'content-encoding': 'gzip' })).status).toBe(400);
  });

  it('gives a slow sender 408, and notes one that leaves as cancelled', async () => {
    await using harness = await new Harness({ bodyMsMax: 50 }).start();
    const head = `${headOf(100)}{`;
    const slow = connect(harness.port, '127.0.0.1').setEncoding('utf8');
    let text = '';
    slow.on('data', (part) => {
      text += part;
    });
    slow.write(head);
    await until(() => text.includes('408') && text.includes('body_timeout'));
    slow.destroy();
    const leaving = connect(harness.port, '127.0.0.1');
    leaving.write(head, () => leaving.destroy());
    await until(() => harness.receipts.length === 2);
    expect(harness.receipts.map((receipt) => receipt.outcome)).toEqual(['rejected_input', 'cancelled']);
  });

  it('takes no more bodies than it may hold together, and takes them again when there is room', async () => {
    await using harness = await new Harness({ bodiesBytesMax: 2_000 }).start();
    const half = connect(harness.port, '127.0.0.1');
    half.write(`${headOf(3_000)}${'x'.repeat(1_500)}`);
    const padded = { ...BODY, user: 'x'.repeat(1_000) };
    let refused = await post(harness, JSON.stringify(padded));
    for (let tries = 0; refused.status === 200 && tries < 100; tries += 1) {
      refused = await post(harness, JSON.stringify(padded));
    }
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await refused.json()).toMatchObject({ error: { code: 'capacity_exhausted' } });
    expect((await post(harness, JSON.stringify(BODY))).status).toBe(200);
    half.destroy();
    await harness.idle();
    expect((await post(harness, JSON.stringify(padded))).status).toBe(200);
  });

  it('gives little of a huge name back', async () => {
    await using harness = await new Harness().start();
    const unknown = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`field${i}${'y'.repeat(500)}`, 1]));
    for (const body of [
      { ...BODY, model: 'x'.repeat(1_000_000) },
      { ...BODY, ...unknown },
    ]) {
      const answer = await post(harness, JSON.stringify(body));
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect((await answer.text()).length).toBeLessThan(6_000);
    }
  });
});

describe('engines that fail before the first byte', () => {
  it.each<[string, Script, 'stream' | 'whole']>([
    ['refuses', { refuse: 'engine_unavailable' }, 'whole'],
    ['answers a stream without content', { raw: ['data: [DONE]\n\n'] }, 'stream'],
    ['answers nothing at all', { raw: [] }, 'stream'],
    ['says only its role', { after: { tokens: 0, end: 'end' } }, 'stream'],
    ['dies before the first token', { after: { tokens: 0, end: 'throw' } }, 'stream'],
    ['sends an error event first', { after: { tokens: 0, end: 'error' } }, 'stream'],
    ['sends garbage', { raw: ['data: {"choices":[{"delta"\n\n'] }, 'stream'],
    ['sends too large an event', { raw: [`data: ${'x'.repeat(2_000_000)}`] }, 'stream'],
    ['sends no JSON', { raw: ['<html>'] }, 'whole'],
    ['sends no choices', { raw: ['{"choices":[]}'] }, 'whole'],
  ])('%s: another replica answers, and the client sees nothing of it', async (_, script, kind) => {
    await using harness = await new Harness().start(two());
    let first = true;
    harness.script = () => {
      const [answer, rest] = [first ? script : {}, false];
      first = rest;
      return answer;
    };
    const answer = await harness.post(CHAT, kind === 'stream' ? STREAM : BODY);
    expect(answer.status).toBe(200);
    const text = await answer.text();
    expect(text).toContain('t4');
    expect(text).not.toContain('error');
    await harness.idle();
    expect(harness.receipts).toMatchObject([{ outcome: 'completed' }]);
    expect([...harness.engines.values()].map((engine) => engine.requests.length)).toEqual([1, 1]);
    expectSettled(harness);
  });

  it('is an error when no other replica is left, and costs nothing', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ raw: ['data: [DONE]\n\n'] });
    const answer = await harness.post(CHAT, STREAM);
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ error: { code: 'engine_failed', type: 'server_error' } });
    expect(harness.receipts).toMatchObject([{ outcome: 'failed', cause: 'engine_failed', actual: NOTHING }]);
    expectSettled(harness);
  });

  it('tries twice, not more', async () => {
    const replicas = ['rep-1', 'rep-2', 'rep-3'].map((id) => replica(id));
    await using harness = await new Harness().start(endpoint({ servedModels: [served({ replicas })] }));
    harness.script = () => ({ refuse: 'engine_unavailable' });
    expect((await harness.post(CHAT, BODY)).status).toBe(503);
    expect([...harness.engines.values()].flatMap((engine) => engine.requests)).toHaveLength(2);
  });

  it('does not retry what the request itself is to blame for', async () => {
    await using harness = await new Harness().start(two());
    harness.script = () => ({ refuse: 'context_length_exceeded' });
    const answer = await harness.post(CHAT, BODY);
    expect([answer.status, harness.engines.size]).toEqual([400, 1]);
    expect(harness.receipts).toMatchObject([
      { outcome: 'rejected_input', cause: 'context_length_exceeded', actual: NOTHING },
    ]);
  });

  it.each(['hang', 'silence'] as const)('gives up on a replica that accepts and stays silent (%s)', async (how) => {
    await using harness = await new Harness({ firstTokenMsMax: 60 }).start(two());
    const silent: Script = how === 'hang' ? { hang: true } : { after: { tokens: 0, end: 'silence' } };
    harness.script = () => (harness.engines.size === 1 ? silent : {});
    expect(await (await harness.post(CHAT, STREAM)).text()).toContain('t4');
    harness.script = () => silent;
    const answer = await harness.post(CHAT, STREAM);
    expect(answer.status).toBe(504);
    expectSettled(harness);
  });
});

describe('engines that fail in the middle', () => {
  it.each<[NonNullable<Script['after']>['end'], string]>([
    ['throw', 'engine_failed'],
    ['end', 'engine_failed'],
    ['error', 'engine_failed'],
    ['silence', 'engine_timeout'],
  ])('%s: what came is delivered, then an error event, and the SDK throws it', async (end, code) => {
    await using harness = await new Harness({ chunkMsMax: 80 }).start(two());
    harness.script = () => ({ after: { tokens: 3, end } });
    const stream = await harness.client().chat.completions.create(STREAM);
    let text = '';
    const read = async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? '';
    };
    const thrown = await read().catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(OpenAI.APIError);
    expect(thrown).toMatchObject({ code });
    expect(String(thrown)).not.toContain('secret');
    expect(text).toBe('t0 t1 t2 ');
    await harness.idle();
    expect(harness.receipts).toMatchObject([{ outcome: 'interrupted', cause: code, outputTokens: 3 }]);
    expect(harness.receipts[0]?.actual.decodeUs).toBeGreaterThan(0);
    expect(harness.engines.size).toBe(1);
    expect(harness.engines.get(harness.receipts[0]?.replicaId ?? '')?.running).toBe(0);
    expectSettled(harness);
  });

  it('an engine without usage, or one that closes after its finish reason, is a whole answer all the same', async () => {
    await using harness = await new Harness().start();
    const chunk = (text: string, finish: string | null) =>
      `data: ${JSON.stringify({ id: 'x', choices: [{ index: 0, delta: { content: text }, finish_reason: finish }] })}\n\n`;
    harness.script = () => ({ raw: [chunk('a', null), chunk('b', null), chunk('', 'length')] });
    const text = await (await harness.post(CHAT, STREAM)).text();
    expect(text).toContain('"usage":{"prompt_tokens":');
    expect(text).toContain('"cubit":{');
    expect(text).toMatch(/\[DONE\]\n\n$/);
    await harness.idle();
    expect(harness.receipts).toMatchObject([{ outcome: 'completed', cause: 'length', outputTokens: 2 }]);
  });

  it('passes an answer of no tokens', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ tokens: 0 });
    const text = await (await harness.post(CHAT, STREAM)).text();
    expect(text).toContain('"finish_reason":"stop"');
    await harness.idle();
    expect(harness.receipts).toMatchObject([{ outcome: 'completed', outputTokens: 0, ttftMs: null, tpotMs: null }]);
  });

  it('loses no frame, however the engine cuts its bytes', async () => {
    await using harness = await new Harness().start();
    const tokens = Array.from({ length: 300 }, (_, i) => `<${i}é>`);
    const lines = tokens.map((t) => `data: {"id":"x","choices":[{"index":0,"delta":{"content":"${t}"}}]}\r\n\r\n`);
    const all = Buffer.from(
      `${lines.join('')}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`,
    );
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < all.length; at += 37) pieces.push(all.subarray(at, at + 37));
    harness.script = () => ({ raw: pieces });
    let text = '';
    for await (const chunk of await harness.client().chat.completions.create(STREAM)) {
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(tokens.join(''));
  });
});

describe('clients', () => {
  it('one that leaves mid-stream frees the engine’s slot at once and pays for what it got', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ tokens: 100_000, chunkMs: 2 });
    const stream = await harness.client().chat.completions.create(STREAM);
    let seen = 0;
    for await (const _ of stream) {
      seen += 1;
      if (seen === 5) break;
    }
    const leftMs = performance.now();
    const engine = harness.engines.get('rep-1')!;
    await until(() => engine.aborted === 1);
    expect(performance.now() - leftMs).toBeLessThan(500);
    await harness.idle();
    expect(engine.running).toBe(0);
    const [receipt] = harness.receipts;
    expect(receipt).toMatchObject({ outcome: 'cancelled', cause: 'client_closed' });
    expect(receipt?.outputTokens).toBeGreaterThanOrEqual(3);
    expect(receipt?.actual.decodeUs).toBeGreaterThan(0);
    expectSettled(harness);
  });

  it('one that leaves before the first token pays for the prefill', async () => {
    await using harness = await new Harness().start();
    harness.script = () => ({ firstMs: 5_000 });
    const leaver = new AbortController();
    const asked = harness
      .client()
      .chat.completions.create(BODY, { signal: leaver.signal })
      .catch(() => {});
    await until(() => harness.engines.get('rep-1')?.running === 1);
    leaver.abort();
    await asked;
    await until(() => harness.receipts.length === 1);
    expect(harness.receipts[0]).toMatchObject({ outcome: 'cancelled', actual: { decodeUs: 0 } });
    expect(harness.receipts[0]?.actual.prefillUs).toBeGreaterThan(0);
    expectSettled(harness);
  });

  it('one that reads slowly holds the engine back instead of filling memory, and gets everything', async () => {
    await using harness = await new Harness().start();
    const tokenText = 'x'.repeat(64 * 1024);
    harness.script = () => ({ tokens: 800, tokenText });
    const answer = await harness.post(CHAT, STREAM);
    const reader = answer.body!.getReader();
    await reader.read();
    await pause(300);
    const engine = harness.engines.get('rep-1')!;
    const heldAt = engine.sent;
    expect(heldAt).toBeLessThan(400);
    await pause(100);
    expect(engine.sent - heldAt).toBeLessThan(20);
    let bytes = 0;
    for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
    expect(bytes).toBeGreaterThan(790 * tokenText.length);
    await harness.idle();
    expect(harness.receipts).toMatchObject([{ outcome: 'completed', outputTokens: 800 }]);
  });

  it('one that stops reading is cut off in the end', async () => {
    await using harness = await new Harness({ clientStallMsMax: 100 }).start();
    harness.script = () => ({ tokens: 2_000, tokenText: 'x'.repeat(64 * 1024) });
    const socket = connect(harness.port, '127.0.0.1');
    const body = JSON.stringify(STREAM);
    socket.on('error', () => {});
    socket.write(headOf(body.length) + body);
    socket.pause();
    await until(() => harness.receipts.length === 1);
    expect(harness.receipts).toMatchObject([{ outcome: 'cancelled', cause: 'client_closed' }]);
    expect(harness.engines.get('rep-1')?.running).toBe(0);
    socket.destroy();
  });
});
