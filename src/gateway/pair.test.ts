import { afterEach, describe, expect, it } from 'vitest';
import { connectEngine } from '../engine/connect.ts';
import type { EngineDialect } from '../engine/port.ts';
import { endpoint, Harness, served, until } from './fixture.ts';
import { PairServer, sendAnswer } from './pair-servers.ts';

const BODY = { model: 'demo', messages: [{ role: 'user' as const, content: 'hi' }], max_completion_tokens: 9 };
const CHAT = '/v1/chat/completions';
const GIVEN = {
  do_remote_prefill: true,
  remote_engine_id: 'e',
  remote_block_ids: [1, 2],
  remote_port: 5600,
  tp_size: 1,
};

const servers: PairServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.kill())));

async function start(answer: ConstructorParameters<typeof PairServer>[0]): Promise<PairServer> {
  const server = await new PairServer(answer).listen();
  servers.push(server);
  return server;
}

function harnessOf(prefills: PairServer[], decodes: PairServer[], dialect: EngineDialect = 'vllm', limits = {}) {
  const replicas = [
    ...prefills.map((server, n) => server.replica(`pre-${n}`, 'prefill', dialect)),
    ...decodes.map((server, n) => server.replica(`dec-${n}`, 'decode', dialect)),
  ];
  const models = [served({ disaggregated: true, replicas })];
  return new Harness(limits, { connect: connectEngine }).start(endpoint({ servedModels: models }));
}

/** Nothing is held: the ledger of work is even, and nobody runs anywhere. */
async function expectFree(harness: Harness): Promise<void> {
  await harness.idle();
  for (const stats of harness.gateway.stats().servedModels) {
    expect(stats).toMatchObject({ running: 0, kvTokens: 0, outstandingUs: 0, queued: 0 });
    expect([...stats.runningOn.values()].every((running) => running === 0)).toBe(true);
    expect(stats.reservedUs).toBe(stats.settledUs + stats.returnedUs);
  }
}

const vllmPrefill = () =>
  start((body, response) => {
    const usage = { prompt_tokens: 40, completion_tokens: 1, prompt_tokens_details: { cached_tokens: 16 } };
    sendAnswer(body, response, { usage, kv_transfer_params: GIVEN });
  });
const answering = () => start((body, response) => sendAnswer(body, response, { kv_transfer_params: null }));
const dead = async () => {
  const server = await start(() => {});
  await server.kill();
  return server;
};

describe('vLLM’s protocol', () => {
  it.each([true, false])(
    'prefills one token, copies the parameters, and passes on what decode answers (stream %s)',
    async (stream) => {
      const [prefill, decode] = [await vllmPrefill(), await answering()];
      await using harness = await harnessOf([prefill], [decode]);
      const answer = await harness.post(CHAT, {
        ...BODY,
        stream,
        ...(stream && { stream_options: { include_usage: true } }),
      });
      const text = await answer.text();
      expect([answer.status, answer.headers.get('x-cubit-replica')]).toEqual([200, 'dec-0']);
      expect(text).toContain(stream ? '" B"' : 'A B');
      expect(text).not.toContain('kv_transfer_params');
      expect(prefill.asked).toMatchObject([
        { stream: false, max_tokens: 1, kv_transfer_params: { do_remote_decode: true, do_remote_prefill: false } },
      ]);
      expect(prefill.asked[0]).not.toHaveProperty('stream_options');
      expect(decode.asked).toMatchObject([
        { model: 'm', max_tokens: 9, messages: BODY.messages, kv_transfer_params: GIVEN },
      ]);
      // What was cached is what prefill found in its cache, not the whole prompt that decode was given.
      expect(text).toContain('"cached_tokens":16');
      await expectFree(harness);
      expect(harness.receipts).toMatchObject([
        { outcome: 'completed', promptTokens: 40, cachedTokens: 16, outputTokens: 2 },
      ]);
    },
  );

  it('never takes the parameters from a client', async () => {
    const [prefill, decode] = [await vllmPrefill(), await answering()];
    await using harness = await harnessOf([prefill], [decode]);
    const answer = await harness.post(CHAT, {
      ...BODY,
      kv_transfer_params: { remote_host: 'evil' },
      bootstrap_room: 1,
    });
    await answer.text();
    expect(JSON.stringify([...prefill.asked, ...decode.asked])).not.toMatch(/evil|bootstrap_room/);
  });

  it.each([
    ['prefill', 'pre-0'],
    ['decode', 'dec-0'],
  ])('takes another %s machine when one is dead', async (role) => {
    const [prefill, decode] = [await vllmPrefill(), await answering()];
    const isPrefill = role === 'prefill';
    const gone = await dead();
    await using harness = await harnessOf(
      isPrefill ? [gone, prefill] : [prefill],
      isPrefill ? [decode] : [gone, decode],
    );
    for (let request = 0; request < 3; request += 1) {
      const answer = await harness.post(CHAT, BODY);
      expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('A B')]);
    }
    await expectFree(harness);
  });

  it.each(['prefill', 'decode'])('says so when the only %s machine is dead, and holds nothing', async (role) => {
    const [prefill, decode] = [await vllmPrefill(), await answering()];
    const gone = await dead();
    await using harness = await harnessOf(
      role === 'prefill' ? [gone] : [prefill],
      role === 'decode' ? [gone] : [decode],
    );
    const answer = await harness.post(CHAT, BODY);
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: 'engine_unavailable' } }]);
    await expectFree(harness);
    expect(harness.receipts).toMatchObject([{ outcome: 'failed', actual: { prefillUs: 0, decodeUs: 0 } }]);
  });

  it.each(['prefill', 'decode'])('gives up on a %s machine that accepts and stays silent', async (role) => {
    const silent = await start(() => {});
    const [prefill, decode] = [await vllmPrefill(), await answering()];
    await using harness = await harnessOf(
      [role === 'prefill' ? silent : prefill],
      [role === 'decode' ? silent : decode],
      'vllm',
      { firstTokenMsMax: 60 },
    );
    const answer = await harness.post(CHAT, { ...BODY, stream: true });
    expect([answer.status, await answer.json()]).toMatchObject([504, { error: { code: 'engine_timeout' } }]);
    await expectFree(harness);
  });

  it('ends a stream with an error when its decode machine dies in the middle', async () => {
    const decode = await start((_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const chunk = { choices: [{ index: 0, delta: { content: 'A' }, finish_reason: null }] };
      response.write(`data: ${JSON.stringify(chunk)}\n\n`, () => response.destroy());
    });
    await using harness = await harnessOf([await vllmPrefill()], [decode]);
    const text = await (await harness.post(CHAT, { ...BODY, stream: true })).text();
    expect(text).toContain('"A"');
    expect(text).toContain('engine_failed');
    await expectFree(harness);
    expect(harness.receipts).toMatchObject([{ outcome: 'interrupted', replicaId: 'dec-0' }]);
  });

  it.each([
    ['no parameters', { kv_transfer_params: null }],
    ['parameters that are none', { kv_transfer_params: 'x' }],
  ])('fails a prefill that answers with %s', async (_, more) => {
    const prefill = await start((body, response) => sendAnswer(body, response, more));
    const decode = await answering();
    await using harness = await harnessOf([prefill], [decode]);
    const answer = await harness.post(CHAT, BODY);
    expect([answer.status, await answer.json()]).toMatchObject([502, { error: { code: 'engine_failed' } }]);
    expect(decode.asked).toEqual([]);
  });

  it('lets nobody in before both machines of a unit are ready', async () => {
    await using harness = await harnessOf([await vllmPrefill()], []);
    const answer = await harness.post(CHAT, BODY);
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: 'endpoint_scaling_up' } }]);
  });

  it('stops prefill when the client leaves', async () => {
    let closed = false;
    const silent = await start((_, response) => {
      response.once('close', () => {
        closed = true;
      });
    });
    await using harness = await harnessOf([silent], [await answering()]);
    const leave = new AbortController();
    const asked = harness.client().chat.completions.create(BODY, { signal: leave.signal });
    await until(() => silent.asked.length === 1);
    leave.abort();
    await expect(asked).rejects.toThrow();
    await until(() => closed);
    await expectFree(harness);
  });

  it('gives decode to the machine whose KV cache has most room', async () => {
    const holding: (() => void)[] = [];
    const decodes = await Promise.all(
      [0, 1].map(() => start((body, response) => void holding.push(() => sendAnswer(body, response)))),
    );
    await using harness = await harnessOf([await vllmPrefill()], decodes);
    const long = { ...BODY, messages: [{ role: 'user', content: 'word '.repeat(900) }] };
    const first = harness.post(CHAT, long);
    await until(() => holding.length === 1);
    const others = [harness.post(CHAT, BODY)];
    await until(() => holding.length === 2);
    others.push(harness.post(CHAT, BODY));
    await until(() => holding.length === 3);
    const [more, fewer] = decodes.map((server) => server.asked.length).toSorted((a, b) => b - a);
    expect([more, fewer]).toEqual([2, 1]);
    for (const end of holding) end();
    for (const answer of await Promise.all([first, ...others])) expect(answer.status).toBe(200);
    await expectFree(harness);
  });
});

describe('SGLang’s protocol', () => {
  /** Decode answers once prefill has come into the same room. */
  function rooms() {
    const waiting = new Map<unknown, () => void>();
    const met = new Map<unknown, Promise<void>>();
    const roomOf = ({ bootstrap_room: room }: Readonly<Record<string, unknown>>) => {
      const there = met.get(room) ?? new Promise<void>((resolve) => waiting.set(room, resolve));
      met.set(room, there);
      return { there, enter: () => waiting.get(room)?.() };
    };
    return roomOf;
  }

  it.each([true, false])('sends to both at once, who meet in a room (stream %s)', async (stream) => {
    const roomOf = rooms();
    const prefill = await start((body, response) => {
      roomOf(body).there;
      roomOf(body).enter();
      sendAnswer(body, response);
    });
    const decode = await start(async (body, response) => {
      await roomOf(body).there;
      sendAnswer(body, response);
    });
    await using harness = await harnessOf([prefill], [decode], 'sglang');
    for (let request = 0; request < 2; request += 1) {
      const answer = await harness.post(CHAT, { ...BODY, stream });
      expect([answer.status, await answer.text()]).toEqual([200, expect.stringMatching(/A B|" B"/)]);
    }
    expect(prefill.asked[0]).toMatchObject({ bootstrap_host: '127.0.0.1', bootstrap_port: 18_998, stream });
    expect(prefill.asked.map((body) => body['bootstrap_room'])).toEqual(
      decode.asked.map((body) => body['bootstrap_room']),
    );
    expect(prefill.asked[0]?.['bootstrap_room']).not.toBe(prefill.asked[1]?.['bootstrap_room']);
    await expectFree(harness);
  });

  it('does not let decode wait for a prefill machine that is dead', async () => {
    const decode = await start(() => {});
    const prefill = await start((body, response) => sendAnswer(body, response));
    await using harness = await harnessOf([await dead()], [decode], 'sglang');
    const answer = await harness.post(CHAT, BODY);
    expect([answer.status, await answer.json()]).toMatchObject([503, { error: { code: 'engine_unavailable' } }]);
    await expectFree(harness);
    expect(prefill.asked).toEqual([]);
  });
});

it('refuses several answers, and servers that hand no state over', async () => {
  const [prefill, decode] = [await answering(), await answering()];
  await using harness = await harnessOf([prefill], [decode]);
  const several = await harness.post(CHAT, { ...BODY, n: 2 });
  expect([several.status, await several.json()]).toMatchObject([
    400,
    { error: { code: 'unsupported_feature', param: 'n' } },
  ]);
  await using other = await harnessOf([prefill], [decode], 'generic');
  expect((await other.post(CHAT, BODY)).status).toBe(502);
  expect([...prefill.asked, ...decode.asked]).toEqual([]);
});
