import { describe, expect, it } from 'vitest';
import { DONE, finish, limits, serve, stream, target, token, usageOf } from './fixture.ts';
import type { Plan, Shot } from './plan.ts';
import { LoadRun, probe } from './run.ts';

const shots = (count: number, everyMs: number): Shot[] =>
  Array.from({ length: count }, (_, index) => ({
    ...{ atMs: index * everyMs, promptTokens: 1, outputTokens: 4, prompt: `word ${index}` },
  }));
const open = (count: number, everyMs = 1): Plan => ({ kind: 'open', shots: shots(count, everyMs) });
const good = (response: Parameters<typeof stream>[0]) => stream(response, token('a'), token('b'), usageOf(2), DONE);
/** Opens a stream and leaves it open. */
const endless = (response: Parameters<typeof stream>[0]) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(token('a'));
};

describe('a run', () => {
  it('sends every request of an open plan once, none before it is due, and counts from the due time', async () => {
    await using server = await serve(good);
    const run = new LoadRun(target(server.url), limits({ warmUpMs: 10 }));
    const result = await run.run(open(30));
    expect(result).toMatchObject({ endedBy: 'plan' });
    expect(result.records.map((record) => record.index).sort((a, b) => a - b)).toEqual([...Array(30).keys()]);
    expect(result.records.every((record) => record.lagMs >= 0 && record.error === null)).toBe(true);
    expect(result.records.filter((record) => record.warmUp)).toHaveLength(10);
    expect(result.itl.count).toBe(20);
    for (const record of result.records) expect(record.e2eMs).toBeGreaterThanOrEqual(record.lagMs);
  });

  it('holds a closed loop at its concurrency and ends it at the number of requests', async () => {
    let running = 0;
    let peak = 0;
    await using server = await serve(async (response) => {
      running += 1;
      peak = Math.max(peak, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      good(response);
    });
    const run = new LoadRun(target(server.url), limits({ requestsMax: 40 }));
    const result = await run.run({ kind: 'closed', concurrency: 4, shots: shots(1000, 1) });
    expect(result.records).toHaveLength(40);
    expect(peak).toBeLessThanOrEqual(4);
    expect(result.inFlightPeak).toBe(4);
  });

  it('does not send beyond the limit in flight, and says so', async () => {
    await using server = await serve(endless);
    const run = new LoadRun(target(server.url), limits({ inFlightMax: 3, drainMs: 50 }));
    const { records } = await run.run(open(10, 0));
    expect(records.filter((record) => record.error === 'in_flight_limit')).toHaveLength(7);
    expect(records.filter((record) => record.error === 'unfinished')).toHaveLength(3);
    expect(server.bodies).toHaveLength(3);
  });

  it('ends at once when interrupted, with what it has', async () => {
    await using server = await serve((response) => {
      if (server.bodies.length < 3) good(response);
      else endless(response);
      if (server.bodies.length === 5) run.stop('interrupted');
    });
    const run = new LoadRun(target(server.url), limits());
    const result = await run.run(open(10_000, 2));
    expect(result.endedBy).toBe('interrupted');
    expect(result.records.filter((record) => record.error === null)).toHaveLength(2);
    expect(result.records.filter((record) => record.error === 'cancelled').length).toBeGreaterThanOrEqual(3);
  });

  it('gives up on a server that takes no connection', async () => {
    const run = new LoadRun(target('http://127.0.0.1:1'), limits());
    const result = await run.run({ kind: 'closed', concurrency: 20, shots: shots(1000, 1) });
    expect(result.endedBy).toBe('unreachable');
    expect(result.records.length).toBeLessThan(50);
    expect(result.records[0]?.error).toMatch(/econnrefused/);
  });

  it('keeps the fault of each answer', async () => {
    await using server = await serve((response) => {
      if (server.bodies.length === 1) return stream(response, finish, usageOf(0), DONE);
      if (server.bodies.length === 2) return stream(response, token('a'));
      response.writeHead(429, { 'retry-after': '0' });
      return response.end('{"error":{"code":"slow_down"}}');
    });
    const run = new LoadRun(target(server.url), limits({ requestsMax: 3 }));
    const { records } = await run.run({ kind: 'closed', concurrency: 1, shots: shots(3, 1) });
    expect(records.map((record) => record.error)).toEqual(['empty_output', 'stream_cut', 'slow_down']);
    expect(records[2]).toMatchObject({ status: 429, retryAfterMs: 0 });
  });

  it('sends the whole conversation again, with the answers that came', async () => {
    await using server = await serve((response) => stream(response, token('yes'), usageOf(1), DONE));
    const turn = { userTokens: 2, outputTokens: 4, thinkMs: 0 };
    const plan: Plan = { kind: 'conversations', seed: 1, conversations: [{ atMs: 0, turns: [turn, turn, turn] }] };
    const { records } = await new LoadRun(target(server.url), limits()).run(plan);
    expect(records.map((record) => record.promptTokensAsked)).toEqual([2, 5, 8]);
    const roles = server.bodies.map((body) =>
      (body['messages'] as { role: string; content: string }[]).map((m) => m.role),
    );
    expect(roles).toEqual([
      ['user'],
      ['user', 'assistant', 'user'],
      ['user', 'assistant', 'user', 'assistant', 'user'],
    ]);
    expect(server.bodies[1]?.['messages']).toMatchObject([{}, { content: 'yes' }, {}]);
  });
});

describe('the request ahead of a run', () => {
  it('passes a server that answers or is busy, and says what another refuses', async () => {
    await using server = await serve((response, body) => {
      if (body['model'] === 'ok') return good(response);
      response.statusCode = body['model'] === 'busy' ? 429 : 404;
      return response.end('{"error":{"code":"model_not_found"}}');
    });
    await probe(target(server.url, 'ok'));
    await probe(target(server.url, 'busy'));
    await expect(probe(target(server.url, 'other'))).rejects.toThrow(/other with 404 model_not_found/);
    await expect(probe(target('http://127.0.0.1:1'))).rejects.toThrow(/No server answers at http:\/\/127\.0\.0\.1:1/);
    await expect(probe(target('ftp://x'))).rejects.toThrow(/not an http/);
  });
});
