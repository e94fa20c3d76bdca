import { createServer, type Socket } from 'node:net';

/**
 * The mock engine of `npm run bench:gateway`: OpenAI's wire format on plain sockets, so that it costs little beside what
 * is measured. It computes nothing. `node upstream.ts PORT`; it ends with its parent. A JSON request gets a fixed answer
 * of about 0.6 KB; a stream gets `max_tokens` tokens, one every GAP_MS, then finish, usage and `[DONE]`.
 */
const GAP_MS = 20;
const TICK_MS = 1;
const HEAD_END = Buffer.from('\r\n\r\n');

const TEXT = 'The quick brown fox jumps over the lazy dog. '.repeat(5).trim();
const BASE = { id: 'chatcmpl-mock0001', created: 1_700_000_000, model: 'mock-model' };
const USAGE = {
  prompt_tokens: 12,
  completion_tokens: 50,
  total_tokens: 62,
  prompt_tokens_details: { cached_tokens: 0 },
};
const MESSAGE = { role: 'assistant', content: TEXT, refusal: null };
const ANSWER = json(200, {
  ...BASE,
  object: 'chat.completion',
  choices: [{ index: 0, message: MESSAGE, logprobs: null, finish_reason: 'stop' }],
  usage: USAGE,
  system_fingerprint: 'fp_mock',
});
/** Routers ask for these before they send anything. */
const PAGES: Readonly<Record<string, Buffer>> = {
  '/v1/models': json(200, { object: 'list', data: [{ id: 'mock-model', object: 'model', max_model_len: 1_000_000 }] }),
  '/get_model_info': json(200, { model_path: 'mock-model', tokenizer_path: 'mock-model', is_generation: true }),
  '/get_server_info': json(200, { model_id: 'mock-model', served_model_name: 'mock-model', tp_size: 1, dp_size: 1 }),
};
const OK = json(200, {});
const STREAM_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n';
const ROLE = Buffer.from(STREAM_HEAD + chunkOf(frame({ delta: { role: 'assistant', content: '' } })));
const TOKEN = Buffer.from(chunkOf(frame({ delta: { content: ' tok' } })));
const ENDING =
  chunkOf(frame({ delta: {} }, 'stop')) +
  chunkOf(`data: ${JSON.stringify({ ...BASE, object: 'chat.completion.chunk', choices: [], usage: USAGE })}\n\n`) +
  chunkOf('data: [DONE]\n\n') +
  '0\r\n\r\n';
const LAST = Buffer.concat([TOKEN, Buffer.from(ENDING)]);

function json(status: number, value: unknown): Buffer {
  const body = JSON.stringify(value);
  return Buffer.from(
    `HTTP/1.1 ${status} OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

function frame(choice: object, finish: string | null = null): string {
  const choices = [{ index: 0, ...choice, finish_reason: finish }];
  return `data: ${JSON.stringify({ ...BASE, object: 'chat.completion.chunk', choices })}\n\n`;
}

function chunkOf(text: string): string {
  return `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
}

interface Stream {
  readonly socket: Socket;
  left: number;
  dueMs: number;
}

/** All streams, the one that is due next first: every one has the same gap, so order of writing is order of being due. */
let streams: Stream[] = [];

function tick(): void {
  const nowMs = performance.now();
  const waiting: Stream[] = [];
  for (const stream of streams) {
    if (stream.socket.destroyed) continue;
    if (stream.dueMs > nowMs) {
      waiting.push(stream);
      continue;
    }
    stream.left -= 1;
    stream.dueMs += GAP_MS;
    stream.socket.write(stream.left === 0 ? LAST : TOKEN);
    if (stream.left > 0) waiting.push(stream);
  }
  streams = waiting;
}

/** One connection: requests come one after the other, as from any pool of keep-alive connections. */
function serve(socket: Socket): void {
  let pending: Buffer = Buffer.alloc(0);
  let parts: Buffer[] = [];
  let missing = 0;
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (data: Buffer) => {
    parts.push(data);
    missing -= data.length;
    // A long body is put together once, not at every piece.
    if (missing > 0) return;
    pending = parts.length === 1 ? data : Buffer.concat(parts);
    for (;;) {
      const headEnd = pending.indexOf(HEAD_END);
      if (headEnd === -1) break;
      const head = pending.toString('latin1', 0, headEnd);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
      const end = headEnd + 4 + length;
      missing = end - pending.length;
      if (missing > 0) break;
      answer(socket, head, pending.subarray(headEnd + 4, end));
      pending = pending.subarray(end);
    }
    parts = pending.length === 0 ? [] : [pending];
  });
}

function answer(socket: Socket, head: string, body: Buffer): void {
  if (!head.startsWith('POST')) {
    const path = head.split(' ', 2)[1] ?? '';
    socket.write(PAGES[path] ?? OK);
    return;
  }
  const at = body.indexOf('"stream"');
  if (at === -1 || !/^"stream": *true/.test(body.toString('latin1', at, at + 16))) {
    socket.write(ANSWER);
    return;
  }
  const tokens = Number(/"max_(?:completion_)?tokens": *(\d+)/.exec(body.toString('latin1'))?.[1] ?? 50);
  socket.write(ROLE);
  streams.push({ socket, left: tokens, dueMs: performance.now() + GAP_MS });
}

setInterval(tick, TICK_MS);
const server = createServer({ noDelay: true }, serve);
server.listen({ port: Number(process.argv[2] ?? 0), host: '127.0.0.1', backlog: 8192 }, () => {
  console.log(`http://127.0.0.1:${(server.address() as { port: number }).port}`);
});
process.stdin.resume().on('end', () => process.exit(0));
