import { connect, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { connectEngine } from '../engine/connect.ts';
import { endpoint, Harness, KEY, served, until } from './fixture.ts';
import { answerWell, chunk, HEAD_SSE, token, WireEngine } from './wire.ts';

const BODY = { model: 'demo', messages: [{ role: 'user', content: 'hi' }] };

function requestOf(body: object, more = ''): string {
  const text = JSON.stringify(body);
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\n${more}`;
  return `${head}content-length: ${text.length}\r\n\r\n${text}`;
}

const LEAVES: Record<string, (socket: Socket) => void> = {
  'closes the connection': (socket) => socket.destroy(),
  'resets it': (socket) => socket.resetAndDestroy(),
  'closes its half of it': (socket) => socket.end(),
};
const WHEN = [
  'before the head of the answer',
  'before the first token',
  'in the middle',
  'of an answer that is no stream',
];

const cases = Object.keys(LEAVES).flatMap((how) => WHEN.map((when) => [how, when] as const));

it.each(cases)(
  'a client %s %s: the engine’s connection ends before it has answered, and its place is free',
  async (how, when) => {
    const events: string[] = [];
    let holding = true;
    const engine = await new WireEngine((socket, request) => {
      if (!holding) return answerWell(socket, request);
      events.push('engine has it');
      socket.once('close', () => events.push('engine is told'));
      if (when === 'before the first token') socket.write(HEAD_SSE);
      if (when === 'in the middle') socket.write(Buffer.concat([Buffer.from(HEAD_SSE), chunk(token('a'))]));
    }).listen();
    const replicas = [engine.replica('rep-1')];
    // One place: whoever comes next is served only once it is free.
    const one = served({ replicas, batchPerUnit: 1 });
    await using harness = new Harness({}, { connect: connectEngine });
    await harness.start(endpoint({ servedModels: [one] }));
    // A connection that was used before, as clients keep them.
    const client = connect(harness.port, '127.0.0.1').setEncoding('utf8');
    client.on('error', () => {});
    let text = '';
    client.on('data', (part) => {
      text += part;
    });
    holding = false;
    client.write(requestOf(BODY));
    await until(() => text.includes('"usage"'));
    holding = true;
    text = '';
    client.write(requestOf({ ...BODY, stream: when !== 'of an answer that is no stream' }));
    await until(() => events.length === 1 && (when !== 'in the middle' || text.includes('data:')));
    expect(harness.gateway.stats().servedModels[0]?.running).toBe(1);
    events.push('client leaves');
    LEAVES[how]?.(client);
    await until(() => events.length === 3);
    await harness.idle();
    expect(events).toEqual(['engine has it', 'client leaves', 'engine is told']);
    expect(harness.receipts.map(({ outcome }) => outcome)).toEqual(['completed', 'cancelled']);
    expect(harness.gateway.stats().servedModels[0]).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0 });
    holding = false;
    expect((await harness.post('/v1/chat/completions', BODY)).status).toBe(200);
    client.destroy();
    await engine.close();
  },
);

it('a client that leaves the line takes nothing to the engine', async () => {
  let asked = 0;
  const engine = await new WireEngine(() => {
    asked += 1;
  }).listen();
  const one = served({ replicas: [engine.replica('rep-1')], batchPerUnit: 1 });
  await using harness = new Harness({}, { connect: connectEngine });
  await harness.start(endpoint({ servedModels: [one], maxWaitMs: 60_000 }));
  const clients = [1, 2].map(() => connect(harness.port, '127.0.0.1'));
  clients[0]?.write(requestOf(BODY));
  await until(() => asked === 1);
  clients[1]?.write(requestOf(BODY));
  await until(() => harness.gateway.stats().servedModels[0]?.queued === 1);
  clients[1]?.resetAndDestroy();
  await until(() => harness.gateway.stats().servedModels[0]?.queued === 0);
  clients[0]?.destroy();
  await harness.idle();
  expect([asked, harness.receipts.map(({ outcome }) => outcome)]).toEqual([1, ['cancelled', 'cancelled']]);
  await engine.close();
});

it('one slow reader holds back its own engine stream, bounded, and none of the others', async () => {
  const frame = chunk(token('x'.repeat(32 * 1024)));
  let written = 0;
  const engine = await new WireEngine((socket, request) => {
    if (!request.includes('slow')) return answerWell(socket, request);
    socket.write(HEAD_SSE);
    // As fast as it is read, without an end.
    const push = () => {
      while (!socket.destroyed && socket.write(frame)) written += frame.length;
    };
    socket.on('drain', push);
    push();
  }).listen();
  const one = served({ replicas: [engine.replica('rep-1')], batchPerUnit: 8 });
  await using harness = new Harness({ clientStallMsMax: 60_000 }, { connect: connectEngine });
  await harness.start(endpoint({ servedModels: [one] }));
  const slow = connect(harness.port, '127.0.0.1');
  slow.on('error', () => {});
  slow.write(requestOf({ ...BODY, messages: [{ role: 'user', content: 'slow' }], stream: true }));
  slow.pause();
  await until(() => written > 1024 * 1024);
  for (let time = 0; time < 20; time += 1) {
    expect((await harness.post('/v1/chat/completions', { ...BODY, stream: true })).status).toBe(200);
  }
  // What kernels, undici and the gateway hold: some megabytes, however much the engine would send meanwhile.
  expect(written).toBeLessThan(32 * 1024 * 1024);
  slow.destroy();
  await harness.idle();
  await until(() => engine.open.size <= 2);
  await engine.close();
});
