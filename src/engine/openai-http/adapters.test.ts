import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { connectEngine } from '../connect.ts';
import type { EngineDialect } from '../port.ts';

/** Hand-made servers that speak vLLM's and SGLang's documented calls. */
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

type Reply = readonly [status: number, body: string];

async function serving(dialect: EngineDialect, answer: (path: string, body: Record<string, unknown>) => Reply) {
  const asked: [string, Record<string, unknown>][] = [];
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    const body = JSON.parse(Buffer.concat(parts).toString());
    asked.push([request.url ?? '', body]);
    const [status, text] = answer(request.url ?? '', body);
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { asked, engine: connectEngine({ kind: 'openai-http', url, model: 'm', apiKey: null, dialect }) };
}

const A = { name: 'mdl-a', path: '/adapters/a' };
const soon = () => AbortSignal.timeout(10_000);
const CHAT = { kind: 'chat', requestId: 'r', cacheSalt: 's', adapter: 'mdl-a', body: { messages: [] } } as const;

describe('LoRA adapters of servers', () => {
  it('come and go by vLLM’s calls below /v1; requests name them as the model', async () => {
    const { asked, engine } = await serving('vllm', () => [200, '{}']);
    await engine.loadAdapter(A, soon());
    await engine.send(CHAT, soon());
    await engine.unloadAdapter('mdl-a', soon());
    expect(asked).toMatchObject([
      ['/v1/load_lora_adapter', { lora_name: 'mdl-a', lora_path: '/adapters/a' }],
      ['/v1/chat/completions', { model: 'mdl-a' }],
      ['/v1/unload_lora_adapter', { lora_name: 'mdl-a' }],
    ]);
    await engine.close();
  });

  it('come and go by SGLang’s below the root; requests name them in lora_path, which clients cannot set', async () => {
    const { asked, engine } = await serving('sglang', () => [200, '{"success":true}']);
    await engine.loadAdapter(A, soon());
    await engine.send(CHAT, soon());
    const { adapter: _, ...base } = CHAT;
    await engine.send({ ...base, body: { messages: [], lora_path: 'mdl-other' } }, soon());
    expect(asked.map(([path]) => path).slice(0, 2)).toEqual(['/load_lora_adapter', '/v1/chat/completions']);
    expect(asked[1]?.[1]).toMatchObject({ model: 'm', lora_path: 'mdl-a' });
    expect(asked[2]?.[1]).not.toHaveProperty('lora_path');
    await engine.close();
  });

  it.each<[EngineDialect, Reply, string | null]>([
    ['vllm', [400, '{"message":"The lora adapter \'mdl-a\' has already been loaded."}'], null],
    ['vllm', [404, '{"error":{"message":"No adapter found for /adapters/a"}}'], 'invalid_request'],
    ['vllm', [404, '{"detail":"Not Found"}'], 'unsupported_feature'],
    ['vllm', [400, '{"error":{"message":"LoRA rank 64 is greater than max_lora_rank 16"}}'], 'invalid_request'],
    ['vllm', [500, 'boom'], 'engine_failed'],
    ['sglang', [200, '{"success":false,"error_message":"LoRA adapter mdl-a is already loaded."}'], null],
    [
      'sglang',
      [400, '{"success":false,"error_message":"Please unload one before: max_loaded_loras"}'],
      'capacity_exhausted',
    ],
    ['generic', [200, '{}'], 'unsupported_feature'],
  ])('%s: a load that answers %j', async (dialect, reply, code) => {
    const { engine } = await serving(dialect, () => reply);
    const loading = engine.loadAdapter(A, soon());
    await (code === null ? expect(loading).resolves.toBeUndefined() : expect(loading).rejects.toMatchObject({ code }));
    await engine.close();
  });

  it('are known to be lost by what a request is answered', async () => {
    for (const [dialect, reply] of [
      ['vllm', [404, '{"error":{"message":"The model `mdl-a` does not exist.","code":404}}']],
      ['sglang', [400, '{"message":"The following requested LoRA adapters are not loaded: mdl-a"}']],
    ] as const) {
      const { engine } = await serving(dialect, () => reply);
      await expect(engine.send(CHAT, soon())).rejects.toMatchObject({ code: 'model_not_found' });
      const { adapter: _, ...base } = CHAT;
      await expect(engine.send(base, soon())).rejects.not.toMatchObject({ code: 'model_not_found' });
      await engine.unloadAdapter('mdl-a', soon());
      await engine.close();
    }
  });
});
