import { describe, expect, it } from 'vitest';
import { type ChatCall, type TimedReply, timedChat } from './client.ts';
import { type Behave, DONE, finish, frame, serve, stream, token, usageOf } from './fixture.ts';

async function ask(behave: Behave, changes: Partial<ChatCall> = {}): Promise<TimedReply> {
  await using server = await serve(behave);
  return await timedChat({
    url: server.url,
    apiKey: 'k',
    model: 'm',
    prompt: 'hello',
    outputTokensMax: 8,
    keepText: true,
    ...changes,
  });
}

describe('a timed request', () => {
  it('measures a stream and reads usage and receipt', async () => {
    const cubit = { request_id: 'req-1' };
    const reply = await ask((response) =>
      stream(
        response,
        frame({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] }),
        token('Hel'),
        token('lo "there"'),
        finish,
        usageOf(2, { prompt_tokens_details: { cached_tokens: 4 }, cubit }),
        DONE,
      ),
    );
    expect(reply).toMatchObject({
      ...{ status: 200, error: null, promptTokens: 7, cachedTokens: 4, outputTokens: 2, frames: 2, usage: 'stated' },
      ...{ done: true, finished: true, streamed: true, text: 'Hello "there"', receipt: cubit },
    });
    expect(reply.itlMs).toHaveLength(1);
    expect(reply.ttftMs).toBeGreaterThan(0);
    expect(reply.tpotMs).toBeCloseTo(reply.e2eMs - (reply.ttftMs as number), 6);
  });

  it('sends what was asked, under the API path of the URL', async () => {
    await using server = await serve((response, _, request) => {
      stream(response, token(String(request.url)), token(String(request.headers.authorization)), DONE);
    });
    const messages = [{ role: 'user', content: 'a' }] as const;
    const call = { apiKey: 'k', model: 'm', prompt: messages, outputTokensMax: 3, keepText: true };
    const plain = await timedChat({ ...call, url: server.url, extraBody: { ignore_eos: true } });
    expect(plain.text).toBe('/v1/chat/completionsBearer k');
    expect(server.bodies[0]).toMatchObject({ model: 'm', messages, max_tokens: 3, stream: true, ignore_eos: true });
    const other = await timedChat({ ...call, url: `${server.url}/api/v3/`, apiKey: '' });
    expect(other.text).toBe('/api/v3/chat/completionsundefined');
  });

  it('counts frames where usage is missing', async () => {
    const reply = await ask((response) => stream(response, token('a'), token('b'), token('c'), finish, DONE));
    expect(reply).toMatchObject({ usage: 'missing', outputTokens: 3, promptTokens: 0, error: null });
    expect(reply.tpotMs).not.toBeNull();
  });

  it.each([
    ['fewer tokens than frames', 1],
    ['none though there was text', 0],
    ['more than were allowed', 9],
  ])('counts frames where usage says %s', async (_, tokens) => {
    const reply = await ask((response) => stream(response, token('a'), token('b'), token('c'), usageOf(tokens), DONE));
    expect(reply).toMatchObject({ usage: 'wrong', outputTokens: 3 });
  });

  it('believes more tokens than frames: engines send several in one', async () => {
    const reply = await ask((response) => stream(response, token('a b c'), token('d'), usageOf(6), DONE));
    expect(reply).toMatchObject({ usage: 'stated', outputTokens: 6, frames: 2 });
  });

  it('takes reasoning as text, and a quoted field name in the answer as what it is', async () => {
    const reasoning = frame({ choices: [{ delta: { reasoning_content: 'hm' } }] });
    const trick = frame({ choices: [{ delta: { role: 'assistant', content: '' }, note: '"content":"x"' }] });
    const reply = await ask((response) => stream(response, trick, reasoning, token('"usage":{'), usageOf(2), DONE));
    expect(reply).toMatchObject({ frames: 2, outputTokens: 2, usage: 'stated' });
  });

  it('reads frames that arrive in pieces, with CRLF, with spaces, among comments', async () => {
    const reply = await ask(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const text = `: ping\r\n\r\ndata: {"choices": [{"delta": {"content": "ä"}}]}\r\n\r\n${token('b')}${usageOf(2)}data: [DONE]`;
      for (const byte of Buffer.from(text)) {
        response.write(Buffer.from([byte]));
        if (byte === 0xc3 || byte === 10) await new Promise((resolve) => setImmediate(resolve));
      }
      response.end();
    });
    expect(reply).toMatchObject({ frames: 2, text: 'äb', outputTokens: 2, done: true });
  });

  it('an answer without text has no TTFT', async () => {
    const reply = await ask((response) => stream(response, finish, usageOf(0), DONE));
    expect(reply).toMatchObject({ frames: 0, ttftMs: null, tpotMs: null, outputTokens: 0, usage: 'stated' });
  });

  it('tells a stream with neither [DONE] nor a finish from one that ended', async () => {
    const cut = await ask((response) => stream(response, token('a')));
    expect(cut).toMatchObject({ done: false, finished: false, error: null });
    const whole = await ask((response) => stream(response, token('a'), finish));
    expect(whole).toMatchObject({ done: false, finished: true });
  });

  it('reports an error event, and a connection that breaks', async () => {
    const event = await ask((response) => stream(response, token('a'), frame({ error: { code: 'engine_failed' } })));
    expect(event).toMatchObject({ error: 'stream_error', frames: 1 });
    const broken = await ask((response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(token('a'), () => response.destroy());
    });
    expect(broken).toMatchObject({ error: 'connection_lost', frames: 1, status: 200 });
  });

  it('reads a refusal: its code and when to come back', async () => {
    const seconds = await ask((response) => {
      response.writeHead(429, { 'retry-after': '2', 'content-type': 'application/json' });
      response.end('{"error":{"code":"model_units_exhausted"}}');
    });
    expect(seconds).toMatchObject({ status: 429, error: 'model_units_exhausted', retryAfterMs: 2000, ttftMs: null });
    const ms = await ask((response) => {
      response.writeHead(503, { 'retry-after': '9', 'retry-after-ms': '250' });
      response.end('<html>busy</html>');
    });
    expect(ms).toMatchObject({ status: 503, error: 'http_503', retryAfterMs: 250 });
  });

  it('takes a whole answer of a server that does not stream: TTFT is E2E', async () => {
    const reply = await ask((response) => {
      response.setHeader('content-type', 'application/json');
      const usage = { prompt_tokens: 3, completion_tokens: 5 };
      response.end(JSON.stringify({ choices: [{ message: { content: 'all of it' } }], usage }));
    });
    expect(reply).toMatchObject({ streamed: false, outputTokens: 5, tpotMs: null, text: 'all of it', error: null });
    expect(reply.ttftMs).toBe(reply.e2eMs);
    const garbage = await ask((response) => {
      response.setHeader('content-type', 'application/json');
      response.end('no JSON');
    });
    expect(garbage).toMatchObject({ error: 'not_json', ttftMs: null });
  });

  it('throws when nothing answers and when it is cancelled', async () => {
    const call = { apiKey: '', model: 'm', prompt: 'a', outputTokensMax: 1 };
    await expect(timedChat({ ...call, url: 'http://127.0.0.1:1' })).rejects.toThrow();
    const abort = new AbortController();
    const cancelled = ask(
      (response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write(token('a'), () => abort.abort());
      },
      { signal: abort.signal },
    );
    await expect(cancelled).rejects.toMatchObject({ name: 'AbortError' });
    await expect(ask((response) => stream(response, DONE), { signal: abort.signal })).rejects.toThrow();
  });
});
