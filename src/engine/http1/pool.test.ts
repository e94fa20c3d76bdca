import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { PlainPool } from './pool.ts';
import type { AnswerControl, AnswerHandler, PoolOptions } from './wire.ts';

const REQUEST = { text: 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n', encoding: 'latin1' } as const;
const answerOf = (body: string, fields = '') =>
  `HTTP/1.1 200 OK\r\n${fields}content-length: ${body.length}\r\n\r\n${body}`;

class Heard implements AnswerHandler {
  isOver = false;
  status = 0;
  body = '';
  control: AnswerControl | null = null;
  readonly ended = Promise.withResolvers<unknown>();

  onRequestStart(control: AnswerControl): void {
    this.control = control;
  }
  onHead(status: number): void {
    this.status = status;
  }
  onBody(part: Buffer): void {
    this.body += part.toString();
  }
  onEnd(): void {
    this.ended.resolve(null);
  }
  fail(error: unknown): void {
    this.ended.resolve(error);
  }
}

const toClose: (() => void)[] = [];
afterEach(() => {
  for (const close of toClose.splice(0)) close();
});

/** A server that does `serve` with every request (one read each), and a pool to it. */
async function start(serve: (socket: Socket, turn: number) => void, options: Partial<PoolOptions> = {}) {
  const sockets = new Set<Socket>();
  let turn = 0;
  const server: Server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
    socket.on('data', () => serve(socket, turn++));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  const bounds = { connectionsMax: 8, waitingMax: 8, connectMs: 5_000, headersMs: 60_000, chunkMs: 60_000 };
  const pool = new PlainPool({ address, ...bounds, ...options });
  toClose.push(() => {
    pool.close();
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { pool, sockets };
}

function ask(pool: PlainPool): Heard {
  const heard = new Heard();
  pool.dispatch(REQUEST, heard);
  return heard;
}

test('one connection carries one request after the other', async () => {
  const { pool, sockets } = await start((socket, turn) => socket.write(answerOf(`answer ${turn}`)));
  for (const turn of [0, 1, 2]) {
    const heard = ask(pool);
    expect(await heard.ended.promise).toBeNull();
    expect([heard.status, heard.body]).toEqual([200, `answer ${turn}`]);
  }
  expect(sockets.size).toBe(1);
});

test.each([
  ['the server says close', (socket: Socket) => socket.end(answerOf('x', 'connection: close\r\n'))],
  ['the close is the end of the body', (socket: Socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nx')],
  ['something follows the answer', (socket: Socket) => socket.write(`${answerOf('x')}more`)],
  ['the server keeps none', (socket: Socket) => socket.write(answerOf('x', 'keep-alive: timeout=1\r\n'))],
])('no connection is used again when %s', async (_name, serve) => {
  const { pool, sockets } = await start(serve);
  for (const count of [1, 2]) {
    const heard = ask(pool);
    expect(await heard.ended.promise).toBeNull();
    expect(heard.body).toBe('x');
    expect(sockets.size).toBe(count);
  }
});

test('a connection that the server closed or wrote to meanwhile is not used', async () => {
  for (const spoil of [(socket: Socket) => socket.end(), (socket: Socket) => socket.write('HTTP/1.1 200 OK\r\n\r\n')]) {
    const { pool, sockets } = await start((socket) => socket.write(answerOf('x')));
    expect(await ask(pool).ended.promise).toBeNull();
    const [socket] = sockets;
    const closed = once(socket as Socket, 'close');
    spoil(socket as Socket);
    await closed;
    const second = ask(pool);
    expect(await second.ended.promise).toBeNull();
    expect(second.body).toBe('x');
  }
});

test('what breaks off, or is no answer, fails once and is never sent again', async () => {
  for (const text of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx', 'nonsense\r\n\r\n']) {
    let requests = 0;
    const { pool } = await start((socket) => {
      requests += 1;
      socket.end(text);
    });
    expect(await ask(pool).ended.promise).toBeInstanceOf(Error);
    expect(requests).toBe(1);
  }
});

test('beyond the connections requests wait in turn, beyond the places for waiting they are refused', async () => {
  const held: Socket[] = [];
  const { pool, sockets } = await start((socket) => held.push(socket), { connectionsMax: 1, waitingMax: 2 });
  const [first, gone, third, refused] = [ask(pool), ask(pool), ask(pool), ask(pool)];
  expect(await refused.ended.promise).toMatchObject({ code: 'engine_unavailable' });
  gone.isOver = true;
  while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  held[0]?.write(answerOf('first'));
  expect(await first.ended.promise).toBeNull();
  while (held.length === 1) await new Promise((resolve) => setTimeout(resolve, 1));
  held[1]?.write(answerOf('third'));
  expect(await third.ended.promise).toBeNull();
  expect([third.body, gone.control, sockets.size]).toEqual(['third', null, 1]);
});

test('an aborted request ends its connection, and the next gets another', async () => {
  let turn = 0;
  const { pool, sockets } = await start((socket) => turn++ > 0 && socket.write(answerOf('x')));
  const first = ask(pool);
  while (turn === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  const closed = once([...sockets][0] as Socket, 'close');
  first.control?.abort(new Error('enough'));
  await closed;
  expect(await ask(pool).ended.promise).toBeNull();
});

test('a paused answer waits in the network, not in memory, and is whole when it is read on', async () => {
  const body = 'x'.repeat(4 * 2 ** 20);
  const { pool, sockets } = await start((socket) => socket.write(answerOf(body)));
  const heard = new Heard();
  const first = Promise.withResolvers<void>();
  heard.onBody = function pausing(this: Heard, part: Buffer) {
    this.body += part.toString();
    if (this.body.length > part.length) return;
    this.control?.pause();
    first.resolve();
  };
  pool.dispatch(REQUEST, heard);
  await first.promise;
  const before = heard.body.length;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(heard.body.length).toBe(before);
  expect([...sockets][0]?.writableLength).toBeGreaterThan(0);
  heard.control?.resume();
  expect(await heard.ended.promise).toBeNull();
  expect(heard.body.length).toBe(body.length);
});

test('silence before the head, and in the middle, ends in engine_timeout', async () => {
  for (const text of ['', 'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx']) {
    const { pool } = await start((socket) => socket.write(text), { headersMs: 20, chunkMs: 20 });
    expect(await ask(pool).ended.promise).toMatchObject({ code: 'engine_timeout' });
  }
});

test('an idle connection is dropped before its server would drop it', async () => {
  const serve = (socket: Socket) => socket.write(answerOf('x', 'keep-alive: timeout=2\r\n'));
  const { pool, sockets } = await start(serve, { connectMs: 20 });
  expect(await ask(pool).ended.promise).toBeNull();
  await once([...sockets][0] as Socket, 'close');
  expect(await ask(pool).ended.promise).toBeNull();
  expect(sockets.size).toBe(2);
});

test('a server that is not there fails with its reason, a closed pool with engine_unavailable', async () => {
  const { pool } = await start(() => {});
  const nowhere = new PlainPool({ ...pool.options, address: { path: '/nowhere/at/all.sock' } });
  expect(await ask(nowhere).ended.promise).toMatchObject({ code: 'ENOENT' });
  const running = ask(pool);
  pool.close();
  expect(await running.ended.promise).toMatchObject({ code: 'engine_unavailable' });
  expect(await ask(pool).ended.promise).toMatchObject({ code: 'engine_unavailable' });
});
