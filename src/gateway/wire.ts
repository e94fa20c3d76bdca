import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { EngineAddress } from '../engine/port.ts';
import type { ReplicaSnapshot } from './snapshot.ts';

/** What a wire engine does with a request, whose text it gets with head and body. */
export type WireAnswer = (socket: Socket, request: string) => void;

export const sampleOf = (name: string): Buffer => readFileSync(new URL(`./samples/${name}`, import.meta.url));

/** An engine as bytes on a socket, for tests: it may break every rule of HTTP. */
export class WireEngine {
  readonly requests: string[] = [];
  /** Sockets that the gateway holds open. */
  readonly open = new Set<Socket>();
  answer: WireAnswer;
  readonly #server: Server;
  readonly #isTls: boolean;

  /** `certificate`: a sample's name; then it speaks TLS. */
  constructor(answer: WireAnswer, certificate: string | null = null) {
    this.answer = answer;
    this.#isTls = certificate !== null;
    const onSocket = (socket: Socket) => this.#take(socket);
    const pem = certificate === null ? null : sampleOf(certificate);
    this.#server = pem === null ? createServer(onSocket) : createTlsServer({ key: pem, cert: pem }, onSocket);
    this.#server.on('tlsClientError', () => {});
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  replica(replicaId: string, url = `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${this.port}`): ReplicaSnapshot {
    const address: EngineAddress = { kind: 'openai-http', url, model: 'm', apiKey: null, dialect: 'vllm' };
    return { replicaId, role: 'unified', state: 'ready', address, startedAtMs: 1 };
  }

  close(): Promise<void> {
    for (const socket of this.open) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #take(socket: Socket): void {
    this.open.add(socket);
    let text = '';
    socket.on('error', () => {});
    socket.on('close', () => this.open.delete(socket));
    socket.on('data', (part) => {
      text += part.toString('utf8');
      // As servers answer a TLS greeting on a plain port.
      if (text.startsWith('\x16')) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n');
      for (let whole = wholeRequest(text); whole > 0; whole = wholeRequest(text)) {
        const request = text.slice(0, whole);
        text = text.slice(whole);
        this.requests.push(request);
        this.answer(socket, request);
      }
    });
  }
}

/** Characters of the first whole request (its bodies are ASCII in tests); 0 = not whole yet. */
function wholeRequest(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return 0;
  const length = Number(/content-length: (\d+)/i.exec(text.slice(0, head))?.[1] ?? 0);
  return text.length >= head + 4 + length ? head + 4 + length : 0;
}

export const HEAD_JSON = 'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n';
export const HEAD_SSE = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n';

/** One HTTP chunk. */
export const chunk = (text: string | Buffer): Buffer => {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
};
export const LAST_CHUNK = '0\r\n\r\n';

export const token = (content: string, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
export const usage = (value: unknown): string => `data: ${JSON.stringify({ id: 'c', choices: [], usage: value })}\n\n`;
export const DONE = 'data: [DONE]\n\n';

export const wholeStream = (frames: string): Buffer[] => [
  Buffer.from(HEAD_SSE),
  chunk(frames),
  Buffer.from(LAST_CHUNK),
];

export const document = (value: object): string => {
  const text = JSON.stringify(value);
  return `${HEAD_JSON}content-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
};

/** A sound answer of two tokens, as the request wants it. */
export function answerWell(socket: Socket, request: string): void {
  const counts = { prompt_tokens: 9, completion_tokens: 2 };
  if (/"stream":true/.test(request)) {
    for (const part of wholeStream(token('a') + token('b') + token('', 'stop') + usage(counts) + DONE))
      socket.write(part);
  } else {
    const choices = [{ index: 0, message: { role: 'assistant', content: 'a b' }, text: 'a b', finish_reason: 'stop' }];
    socket.write(document({ id: 'c', choices, data: [{ index: 0, embedding: [1] }], usage: counts }));
  }
}
