import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { connectEngine } from '../engine/connect.ts';
import { endpoint, Harness, served, snapshot } from './fixture.ts';
import { upstreamKey } from './overflow-snapshot.ts';
import type { ReplicaSnapshot } from './snapshot.ts';
import type { LeaseBudget } from './spill-budget.ts';

/** An endpoint without a unit, which spills to a real server that fails in one way or another. */
const BUDGET = 1_000_000;
const ASK = { model: 'demo', messages: [{ role: 'user' as const, content: 'hello' }], max_tokens: 8 };
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function serverOf(answer: RequestListener): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

async function asked(url: string, body: object = ASK, isAllowed = true) {
  let leftMicros = BUDGET;
  const budgets: LeaseBudget = {
    async lease(_id, micros) {
      leftMicros -= micros;
      return { micros, periodStartMs: 0, periodEndMs: Number.MAX_SAFE_INTEGER };
    },
    async giveBack(_id, _start, micros) {
      leftMicros += micros;
    },
  };
  const guard = {
    checkUrl: () => {
      if (!isAllowed) throw new Error('not public');
    },
    lookup: () => undefined,
  };
  const timeouts = { connectMs: 500, headersMs: 1_000, chunkMs: 1_000, probeMs: 500 };
  const h = await new Harness(
    { answerMsMax: 300, firstTokenMsMax: 300, chunkMsMax: 300 },
    { budgets, connect: (address) => connectEngine(address, timeouts, guard) },
  ).start();
  const address = {
    kind: 'openai-http',
    url,
    model: 'theirs',
    apiKey: 'sk-theirs',
    dialect: 'generic',
    publicOnly: true,
  } as const;
  const replicas: ReplicaSnapshot[] = [
    { replicaId: 'rep-up', role: 'unified', state: 'ready', address, startedAtMs: 1 },
  ];
  const paid = endpoint({
    ...{ endpointId: 'up-1', upstream: { outputTokensMax: 16 } },
    servedModels: [served({ servedModelId: 'up-1', replicas })],
  });
  const price = { inputMicros: 1_000_000, cachedMicros: 1_000_000, outputMicros: 1_000_000 };
  const own = endpoint({
    servedModels: [served({ replicas: [], unitsMax: 0 })],
    overflow: {
      ...{ policy: 'spill', allowed: ['spill'], queueWaitMs: 0, spillAfterMs: 0, reasons: ['not_ready'] },
      targets: [{ targetId: 'up-1', endpointKey: upstreamKey('up-1'), price }],
      budgetMicros: BUDGET,
    },
  });
  const plain = snapshot(own);
  h.gateway.apply({ ...plain, endpoints: new Map([...plain.endpoints, [upstreamKey('up-1'), paid]]) });
  const reply = await h.post('/v1/chat/completions', body);
  const text = await reply.text();
  await h.idle();
  await h[Symbol.asyncDispose]();
  return { reply, text, receipt: h.receipts[0], spentMicros: BUDGET - leftMicros };
}

const answerOf = (tokens: number) =>
  JSON.stringify({
    ...{ id: 'x', object: 'chat.completion', created: 1, model: 'theirs' },
    choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 9, completion_tokens: tokens, total_tokens: 9 + tokens },
  });

test('it is sent its own model name and key, and the cost is that of the usage it states', async () => {
  const seen: { authorization: string | undefined; body: Record<string, unknown> }[] = [];
  const port = await serverOf((req, res) => {
    let text = '';
    req
      .on('data', (part) => (text += part))
      .on('end', () => {
        seen.push({ authorization: req.headers.authorization, body: JSON.parse(text) as Record<string, unknown> });
        res.writeHead(200, { 'content-type': 'application/json' }).end(answerOf(4));
      });
  });
  const { reply, receipt, spentMicros } = await asked(`http://127.0.0.1:${port}/v1`);
  expect([reply.status, reply.headers.get('x-cubit-spilled')]).toEqual([200, 'up-1']);
  expect(seen).toMatchObject([{ authorization: 'Bearer sk-theirs', body: { model: 'theirs', max_tokens: 8 } }]);
  expect(receipt).toMatchObject({ outcome: 'completed', spill: { reason: 'not_ready', costMicros: 13 } });
  expect(spentMicros).toBe(13);
});

const FAULTS: Record<string, { answer?: RequestListener; because: string; scheme?: string; isAllowed?: boolean }> = {
  'is down': { because: 'engine_unavailable' },
  'never answers': { answer: () => undefined, because: 'engine_timeout' },
  'has no TLS': { answer: () => undefined, because: 'engine_unavailable', scheme: 'https' },
  'answers garbage': { answer: (_req, res) => void res.end('<html>hello</html>'), because: 'engine_failed' },
  'answers nothing': { answer: (_req, res) => void res.end(), because: 'engine_failed' },
  'hangs up': { answer: (req) => void req.socket.destroy(), because: 'engine_failed' },
  'has no money left': { answer: (_req, res) => void res.writeHead(429).end('{}'), because: 'engine_unavailable' },
  'does not know the key': { answer: (_req, res) => void res.writeHead(401).end('{}'), because: 'engine_failed' },
  'sends elsewhere': {
    answer: (_req, res) => void res.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(),
    because: 'engine_failed',
  },
  'refuses the request': { answer: (_req, res) => void res.writeHead(400).end('{}'), because: 'invalid_request' },
  'is at an address that is not public': {
    answer: (_req, res) => void res.end(),
    because: 'internal',
    isAllowed: false,
  },
};

test.each(Object.entries(FAULTS))(
  'one that %s leaves the endpoint’s own 503, and costs nothing',
  async (_name, fault) => {
    const port = fault.answer === undefined ? 1 : await serverOf(fault.answer);
    for (const stream of [false, true]) {
      const url = `${fault.scheme ?? 'http'}://127.0.0.1:${port}/v1`;
      const { reply, text, receipt, spentMicros } = await asked(url, { ...ASK, stream }, fault.isAllowed);
      expect(reply.status).toBe(503);
      expect(reply.headers.get('x-cubit-spilled')).toBeNull();
      expect(JSON.parse(text)).toMatchObject({
        error: { code: 'endpoint_scaling_up', details: { spill: [{ target: 'up-1', because: fault.because }] } },
      });
      expect(text).not.toContain('sk-theirs');
      expect(receipt).toMatchObject({ outcome: 'rejected_unready', servedModelId: 'sm-1', spill: null });
      expect(spentMicros).toBe(0);
    }
  },
);

test('one that breaks off in the middle of a stream ends it with an error event, and what came is paid', async () => {
  const chunk = (content: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`;
  const port = await serverOf((_req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write(chunk('a') + chunk('b'));
    setTimeout(() => res.destroy(), 50);
  });
  const { reply, text, receipt, spentMicros } = await asked(`http://127.0.0.1:${port}`, { ...ASK, stream: true });
  expect(reply.headers.get('x-cubit-spilled')).toBe('up-1');
  expect(text).toContain('engine_failed');
  expect(receipt).toMatchObject({ outcome: 'interrupted', outputTokens: 2 });
  expect(spentMicros).toBe(receipt?.spill?.costMicros);
  expect(spentMicros).toBeGreaterThan(2);
});
