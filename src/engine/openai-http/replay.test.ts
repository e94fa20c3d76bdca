import { readFile } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { connectEngine } from '../connect.ts';
import type { Engine, EngineDialect, EngineRequest } from '../port.ts';
import { TIMEOUTS } from './client.ts';
import { detectDialect } from './detect.ts';

const recorded = (name: string) => readFile(new URL(`../../../test/recorded/vllm-0.32/${name}`, import.meta.url));
const never = new AbortController().signal;
const CHAT: EngineRequest = {
  kind: 'chat',
  body: { messages: [{ role: 'user', content: 'hi' }], stream: true },
  requestId: 'req-1',
  cacheSalt: 'tenant',
};

let server: Server | null = null;
let engine: Engine | null = null;
afterEach(async () => {
  await engine?.close();
  server?.closeAllConnections();
  server?.close();
});

async function serve(listener: RequestListener): Promise<string> {
  const started = createServer(listener);
  server = started;
  await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(started.address() as AddressInfo).port}`;
}

function connect(url: string, dialect: EngineDialect = 'vllm', chunkMs = TIMEOUTS.chunkMs): Engine {
  const address = { kind: 'openai-http', url, model: 'smollm2', apiKey: 'k', dialect } as const;
  engine = connectEngine(address, { ...TIMEOUTS, chunkMs });
  return engine;
}

async function readAll(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

it('refuses what no JSON can be made of, without asking the server', async () => {
  const nested: unknown = JSON.parse(`${'['.repeat(100_000)}${']'.repeat(100_000)}`);
  const own = connect('http://127.0.0.1:9/v1');
  await expect(own.send({ ...CHAT, body: { ...CHAT.body, nested } }, never)).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining('nested'),
  });
});

describe('openai-http over a recorded vLLM', () => {
  it('passes the stream through byte for byte, and asks as vLLM wants to be asked', async () => {
    const stream = await recorded('stream.txt');
    const asked: { path: string; authorization: unknown; body: Record<string, unknown> }[] = [];
    const url = await serve(async (request, response) => {
      const chunks = await request.toArray();
      const body = JSON.parse(Buffer.concat(chunks).toString());
      asked.push({ path: request.url ?? '', authorization: request.headers.authorization, body });
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
      for (let at = 0; at < stream.length; at += 700) response.write(stream.subarray(at, at + 700));
      response.end();
    });
    const reply = await connect(url).send(CHAT, never);
    expect(reply.stream).toBe(true);
    expect((await readAll(reply.bytes)).equals(stream)).toBe(true);
    expect(asked).toEqual([
      {
        path: '/v1/chat/completions',
        authorization: 'Bearer k',
        body: { ...CHAT.body, model: 'smollm2', stream_options: { include_usage: true }, cache_salt: 'tenant' },
      },
    ]);
  });

  it('catches an engine that falls silent in the middle of a stream', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
    });
    const reply = await connect(url, 'vllm', 200).send(CHAT, never);
    await expect(readAll(reply.bytes)).rejects.toMatchObject({ code: 'engine_timeout' });
  });

  it('reports a stream that breaks off', async () => {
    const url = await serve((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
      setTimeout(() => response.destroy(), 20);
    });
    const reply = await connect(url).send(CHAT, never);
    await expect(readAll(reply.bytes)).rejects.toMatchObject({ code: 'engine_failed' });
  });

  it('counts its own requests where the server publishes no metrics', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/metrics') response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {}\n\n');
    });
    const connected = connect(url, 'sglang');
    const abort = new AbortController();
    const reply = await connected.send(CHAT, abort.signal);
    expect((await connected.metrics(never)).running).toBe(1);
    abort.abort();
    await expect(readAll(reply.bytes)).rejects.toMatchObject({ code: 'client_closed' });
    expect((await connected.metrics(never)).running).toBe(0);
  });

  it('counts tokens by the server’s tokenizer', async () => {
    const url = await serve(async (request, response) => {
      const chunks = await request.toArray();
      const body = JSON.parse(Buffer.concat(chunks).toString());
      const answers: Record<string, object> = {
        '/apply-template': { prompt: `<user>${body.messages?.[0]?.content}` },
        '/tokenize': body.content === undefined ? { count: 37 } : { tokens: [...body.content] },
      };
      response.end(JSON.stringify(answers[request.url ?? '']));
    });
    expect(await connect(url, 'vllm').countTokens(CHAT, never)).toBe(37);
    await engine?.close();
    expect(await connect(url, 'llama-server').countTokens(CHAT, never)).toBe('<user>hi'.length);
    await engine?.close();
    expect(await connect(url, 'sglang').countTokens(CHAT, never)).toBeNull();
    await engine?.close();
    expect(await connect(url, 'generic').countTokens(CHAT, never)).toBeNull();
  });

  it('recognises vLLM by its metrics, and says what it serves', async () => {
    const metrics = await recorded('metrics.txt');
    const models = { data: [{ id: 'smollm2', owned_by: 'vllm', max_model_len: 2048 }] };
    const url = await serve((request, response) => {
      if (request.url === '/v1/models') response.end(JSON.stringify(models));
      else if (request.url === '/metrics') response.end(metrics);
      else response.writeHead(404).end();
    });
    const expected = { dialect: 'vllm', models: ['smollm2'], contextTokens: 2048 };
    expect(await detectDialect(url, null)).toEqual(expected);
    expect(await detectDialect(`${url}/v1/`, null)).toEqual(expected);
  });

  it('takes what it does not know as generic, and refuses what is no such server', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/v1/models') response.end(JSON.stringify({ data: [{ id: 'm', owned_by: 'someone' }] }));
      else response.writeHead(404).end('nothing here');
    });
    expect(await detectDialect(url, null)).toEqual({ dialect: 'generic', models: ['m'], contextTokens: null });
    await expect(detectDialect(`${url}/elsewhere`, null)).rejects.toMatchObject({ code: 'engine_failed' });
    await expect(detectDialect('not a url', null)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
