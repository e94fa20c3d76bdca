import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Flow, StreamedAnswer } from './answer.ts';
import type { Generation } from './generation.ts';
import { parseChat } from './request.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A response that a client asked for and does not read yet. */
async function unreadResponse(): Promise<{ response: ServerResponse; reply: Promise<IncomingMessage> }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = httpRequest({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const reply = once(client, 'response').then(([message]) => message as IncomingMessage);
  const asked = once(server, 'request');
  client.end();
  const [, response] = await asked;
  closers.push(
    () => server.close(),
    () => client.destroy(),
  );
  return { response, reply };
}

describe('StreamedAnswer', () => {
  it('pauses its generation while the reader is slow, and goes on when it reads', async () => {
    const { response, reply } = await unreadResponse();
    const generation = { paused: false, usage: { promptTokens: 1, cachedTokens: 0, outputTokens: 1 } };
    const paused: boolean[] = [];
    const flow: Flow = {
      setPaused: (_, now) => {
        generation.paused = now;
        paused.push(now);
      },
    };
    const head = { kind: 'chat', id: 'x', createdS: 0, model: 'm' } as const;
    const body = parseChat({ messages: [{ role: 'user', content: 'x' }], stream: true });
    const answer = new StreamedAnswer(response, head, body, () => generation as Generation, flow);

    const piece = 'x'.repeat(64 * 1024);
    let written = 0;
    while (!generation.paused && written < 1000) {
      answer.onText(piece);
      written += 1;
      await new Promise(setImmediate);
    }
    expect(written).toBeLessThan(1000);
    let text = '';
    const message = await reply;
    message.on('data', (chunk: Buffer) => {
      text += chunk;
    });
    await once(response, 'drain');
    answer.onEnd('stop');
    await once(message, 'end');
    expect(paused.slice(0, 2)).toEqual([true, false]);
    expect(text.split(piece).length - 1).toBe(written);
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  });
});
