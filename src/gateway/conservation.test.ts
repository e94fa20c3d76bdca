import fc from 'fast-check';
import { expect, it } from 'vitest';
import { OUTCOMES } from '../core/serving/outcome.ts';
import { endpoint, Harness, pause, replica, type Script, served, until } from './fixture.ts';

const REQUESTS = 2_000;
const CONCURRENCY = 32;

const SCRIPTS: readonly Script[] = [
  {},
  { tokens: 40 },
  { tokens: 700 },
  { tokens: 20, chunkMs: 1 },
  { firstMs: 10 },
  { refuse: 'engine_unavailable' },
  { refuse: 'context_length_exceeded' },
  { raw: ['data: [DONE]\n\n'] },
  { tokens: 9, after: { tokens: 4, end: 'throw' } },
  { tokens: 9, after: { tokens: 4, end: 'end' } },
  { tokens: 9, usage: false },
];

/** A random client: streams or not, waits or not, leaves after a while or stays. */
interface Client {
  readonly stream: boolean;
  readonly maxTokens: number;
  readonly waitMs: number;
  readonly leaveMs: number | null;
  readonly script: number;
}

// Invariant 1, over everything at once: each request has one outcome and what was reserved is settled or returned.
it('2,000 random requests with random cancels and failures leave nothing behind', { timeout: 60_000 }, async () => {
  const replicas = ['rep-1', 'rep-2', 'rep-3'].map((id) => replica(id));
  // Small work per token, so that the bucket drains within the test.
  const coefficients = { p0Us: 100, p1Us: 10, p2Us: 0, d1Us: 50, d2Us: 0 };
  await using harness = await new Harness().start(
    endpoint({ servedModels: [served({ replicas, batchPerUnit: 1, unitsMax: 3, coefficients })] }),
  );
  const client = fc.record<Client>({
    stream: fc.boolean(),
    maxTokens: fc.integer({ min: 1, max: 2_000 }),
    waitMs: fc.constantFrom(0, 5, 1_000),
    leaveMs: fc.option(fc.integer({ min: 0, max: 30 }), { freq: 2 }),
    script: fc.nat(SCRIPTS.length - 1),
  });
  const clients = fc.sample(client, { numRuns: REQUESTS, seed: 20_260_101 });
  harness.script = (request) => SCRIPTS[Number(String(request.body['seed']))] ?? {};

  const ask = async ({ stream, maxTokens, waitMs, leaveMs, script }: Client): Promise<void> => {
    const leaver = new AbortController();
    const timer = leaveMs === null ? undefined : setTimeout(() => leaver.abort(), leaveMs);
    const body = {
      model: 'demo',
      messages: [{ role: 'user', content: 'hi' }],
      stream,
      max_tokens: maxTokens,
      seed: script,
    };
    const headers = { authorization: 'Bearer sk-test-key', 'x-cubit-max-wait-ms': String(waitMs) };
    const init = { method: 'POST', headers, body: JSON.stringify(body), signal: leaver.signal };
    await fetch(`${harness.url}/v1/chat/completions`, init)
      .then((answer) => answer.text())
      .catch(() => {});
    clearTimeout(timer);
  };
  const next = clients.values();
  await Promise.all(
    Array.from({ length: CONCURRENCY }, async () => {
      for (const one of next) await ask(one);
    }),
  );
  await harness.idle();

  const [stats] = harness.gateway.stats().servedModels;
  expect(stats).toMatchObject({ running: 0, queued: 0, queuedUs: 0, kvTokens: 0, outstandingUs: 0 });
  expect(stats!.reservedUs).toBe(stats!.settledUs + stats!.returnedUs);
  const actualUs = harness.receipts.reduce((sum, { actual }) => sum + actual.prefillUs + actual.decodeUs, 0);
  expect(stats!.settledUs).toBe(actualUs);
  await until(() => harness.gateway.stats().servedModels[0]?.levelUs === 0, 10_000);

  // A client that left before its headers arrived was never a request.
  expect(harness.receipts.length).toBeGreaterThan(REQUESTS * 0.8);
  expect(new Set(harness.receipts.map((receipt) => receipt.requestId)).size).toBe(harness.receipts.length);
  const seen = new Set(harness.receipts.map((receipt) => receipt.outcome));
  for (const outcome of [
    'completed',
    'cancelled',
    'rejected_capacity',
    'expired',
    'failed',
    'interrupted',
    'rejected_input',
  ]) {
    expect([...seen]).toContain(outcome);
  }
  for (const outcome of seen) expect(OUTCOMES).toContain(outcome);
  await pause(20);
  for (const engine of harness.engines.values()) expect(engine.running).toBe(0);
  expect((await harness.registry.metrics()).match(/^cubit_requests_total\{.*\} (\d+)$/gm)?.length).toBe(seen.size);
});
