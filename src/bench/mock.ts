import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A mock engine: it computes nothing. It is the peer that the load-test client is measured against, and says so in its
 * answers. `model` carries what it should do, as `mock:ttft=20,itl=50` in ms; it sends `max_tokens` frames and, in
 * `usage.cubit`, how long it took itself from the request's arrival to its first write and to its last, so that the
 * rest of what a client sees is the client's and the network's.
 */
export interface Mock {
  readonly url: string;
  close(): Promise<void>;
}

interface Stream {
  readonly response: ServerResponse;
  readonly receivedAtMs: number;
  readonly itlMs: number;
  readonly tokens: number;
  sent: number;
  dueAtMs: number;
  firstAtMs: number;
}

const TICK_MS = 2;
const FRAME =
  'data: {"id":"mock","object":"chat.completion.chunk","created":1,"model":"mock","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n';
const FINISH =
  'data: {"id":"mock","object":"chat.completion.chunk","created":1,"model":"mock","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]}\n\n';

/** Listens on a free port of this machine. */
export async function startMock(): Promise<Mock> {
  const wheel = new Wheel();
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    void answer(wheel, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 8192, resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () => {
      wheel.stop();
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(wheel: Wheel, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const receivedAtMs = performance.now();
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  const { model, max_tokens } = JSON.parse(Buffer.concat(pieces).toString()) as { model: string; max_tokens: number };
  const ask = (name: string) => Number(new RegExp(`${name}=([\\d.]+)`).exec(model)?.[1] ?? 0);
  const ttftMs = ask('ttft');
  const stream = { response, receivedAtMs, itlMs: ask('itl'), tokens: max_tokens, sent: 0, dueAtMs: 0, firstAtMs: 0 };
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (ttftMs === 0 && stream.itlMs === 0) {
    // All at once: one write for the whole answer.
    const nowMs = performance.now();
    response.end(FRAME.repeat(max_tokens - 1) + ending(stream, nowMs, nowMs));
    return;
  }
  wheel.add(stream, receivedAtMs + ttftMs);
}

/** Writes the next frame; after the last, the rest. True when the answer is over. */
function step(stream: Stream, nowMs: number): boolean {
  const { response } = stream;
  if (response.destroyed) return true;
  if (stream.sent === 0) stream.firstAtMs = nowMs;
  stream.sent += 1;
  if (stream.sent < stream.tokens) {
    response.write(FRAME);
    return false;
  }
  response.end(ending(stream, stream.firstAtMs, nowMs));
  return true;
}

/** The last token, the finish, the usage with the mock's own times, the end. */
function ending({ receivedAtMs, tokens }: Stream, firstAtMs: number, endAtMs: number): string {
  const us = (ms: number) => Math.round((ms - receivedAtMs) * 1000);
  const cubit = { mock_ttft_us: us(firstAtMs), mock_e2e_us: us(endAtMs) };
  const usage = { prompt_tokens: 1, completion_tokens: tokens, total_tokens: tokens + 1, cubit };
  return `${FRAME}${FINISH}data: ${JSON.stringify({ choices: [], usage })}\n\ndata: [DONE]\n\n`;
}

/** Streams by the tick in which their next frame is due: no timer for each of thousands. */
class Wheel {
  readonly #slots = new Map<number, Stream[]>();
  #tick = Math.floor(performance.now() / TICK_MS);
  readonly #timer = setInterval(() => this.#turn(), TICK_MS);

  add(stream: Stream, dueAtMs: number): void {
    stream.dueAtMs = dueAtMs;
    const tick = Math.max(this.#tick + 1, Math.ceil(dueAtMs / TICK_MS));
    const slot = this.#slots.get(tick);
    if (slot === undefined) this.#slots.set(tick, [stream]);
    else slot.push(stream);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #turn(): void {
    const now = Math.floor(performance.now() / TICK_MS);
    while (this.#tick < now) {
      this.#tick += 1;
      const due = this.#slots.get(this.#tick) ?? [];
      this.#slots.delete(this.#tick);
      for (const stream of due) {
        if (!step(stream, performance.now())) this.add(stream, stream.dueAtMs + stream.itlMs);
      }
    }
  }
}
