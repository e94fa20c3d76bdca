import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EngineDialect } from '../engine/port.ts';
import { replica } from './fixture.ts';
import type { ReplicaSnapshot } from './snapshot.ts';

type Body = Readonly<Record<string, unknown>>;
type Answer = (body: Body, response: ServerResponse) => void | Promise<void>;

/** A hand-made prefill or decode server for tests: one answer for every completion, with what it was asked. To who looks, it is vLLM. */
export class PairServer {
  readonly asked: Body[] = [];
  readonly #server: Server;
  url = '';

  constructor(answer: Answer) {
    const listener: RequestListener = async (request, response) => {
      if (request.method === 'GET') return introduce(request.url ?? '', response);
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      const body: Body = JSON.parse(Buffer.concat(parts).toString());
      this.asked.push(body);
      await answer(body, response);
    };
    this.#server = createServer((request, response) => void listener(request, response));
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  replica(replicaId: string, role: 'prefill' | 'decode', dialect: EngineDialect): ReplicaSnapshot {
    const { url } = this;
    const bootstrap = role === 'prefill' && dialect === 'sglang' ? { bootstrapPort: 18_998 } : {};
    return replica(replicaId, {
      role,
      address: { kind: 'openai-http', url, model: 'm', apiKey: null, dialect, ...bootstrap },
    });
  }

  /** Ends at once, open answers too. */
  kill(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}

/** What is asked of a server before it is adopted, and while it runs. */
function introduce(path: string, response: ServerResponse): void {
  if (path === '/metrics') return void response.end('vllm:num_requests_running 0\nvllm:num_requests_waiting 0\n');
  if (path !== '/v1/models') return void response.end();
  const data = [{ id: 'm', object: 'model', owned_by: 'vllm', max_model_len: 131_072 }];
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ object: 'list', data }));
}

export function sendAnswer(body: Body, response: ServerResponse, more: Body = {}): void {
  const usage = { prompt_tokens: 40, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 40 } };
  if (body['stream'] !== true) {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'A B' }, finish_reason: 'stop' }];
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', choices, usage, ...more }),
    );
    return;
  }
  const frame = (choices: unknown, rest = {}) =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices, ...rest })}\n\n`;
  const chunk = (content: string, finish_reason: string | null = null) =>
    frame([{ index: 0, delta: { content }, finish_reason }]);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(chunk('A') + chunk(' B') + chunk('', 'stop') + frame([], { usage }) + 'data: [DONE]\n\n');
}
