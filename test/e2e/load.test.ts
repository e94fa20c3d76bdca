import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../../src/workload/random.ts';
import { textOfTokens } from '../../src/workload/text.ts';
import { childrenOf, type Running, startUp, temporaryFolder, until } from './process.ts';

const REQUESTS = 500;
const CONCURRENCY = 32;
let cubit: Running;

beforeAll(async () => {
  cubit = await startUp(temporaryFolder());
});
afterAll(async () => {
  await cubit?.stop('SIGKILL');
});

async function gauge(name: string): Promise<number> {
  const text = await (await fetch(`${cubit.ready.url}/metrics`)).text();
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

async function rssMb(): Promise<number> {
  return (await gauge('process_resident_memory_bytes')) / 1e6;
}

describe(`${REQUESTS} requests at concurrency ${CONCURRENCY} through the SDK, with random cancels`, () => {
  it('settles every reservation, empties the bucket, leaks no slot, keeps memory flat', async () => {
    const random = seededRandom(42);
    const client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
    const tally: Record<string, number> = {};
    let next = 0;
    let afterWarmUpMb = 0;

    const one = async (index: number) => {
      const abort = new AbortController();
      const cancelled = random() < 0.3;
      if (cancelled) setTimeout(() => abort.abort(), random() * 800);
      const prompt = textOfTokens(4 + Math.floor(random() * 12), random);
      try {
        const stream = await client.chat.completions.create(
          { model: 'demo', messages: [{ role: 'user', content: prompt }], max_tokens: 1 + (index % 6), stream: true },
          { signal: abort.signal, headers: { 'x-cubit-max-wait-ms': '60000' } },
        );
        for await (const _ of stream);
        // The SDK ends an aborted stream without an error.
        const outcome = abort.signal.aborted ? 'cancelled' : 'completed';
        tally[outcome] = (tally[outcome] ?? 0) + 1;
      } catch (error) {
        const outcome = abort.signal.aborted ? 'cancelled' : `error ${(error as { status?: number }).status}`;
        tally[outcome] = (tally[outcome] ?? 0) + 1;
      }
    };
    const worker = async () => {
      while (next < REQUESTS) {
        const index = next;
        next += 1;
        if (index === 100) afterWarmUpMb = await rssMb();
        await one(index);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));

    await until(
      'nothing runs or waits',
      async () => (await gauge('cubit_running')) + (await gauge('cubit_queue_requests')) === 0,
    );
    await until('the bucket is empty', async () => (await gauge('cubit_bucket_level_us')) === 0);
    const reservedUs = await gauge('cubit_work_reserved_us_total');
    const settledUs = await gauge('cubit_work_settled_us_total');
    const returnedUs = await gauge('cubit_work_returned_us_total');
    const receipts = await gauge('cubit_requests_total');
    const grownMb = (await rssMb()) - afterWarmUpMb;
    console.log('load:', { tally, reservedUs, settledUs, returnedUs, receipts, grownMb: Math.round(grownMb) });
    expect(Object.values(tally).reduce((a, b) => a + b, 0)).toBe(REQUESTS);
    expect(tally['completed']).toBeGreaterThan(250);
    expect(Object.keys(tally).filter((name) => name.startsWith('error'))).toEqual([]);
    expect(reservedUs).toBeGreaterThan(0);
    expect(settledUs + returnedUs).toBe(reservedUs);
    expect(grownMb).toBeLessThan(80);
  });

  it('a worker killed mid-stream ends the stream with an error, comes back, and the next request is served', async () => {
    const client = new OpenAI({ baseURL: `${cubit.ready.url}/v1`, apiKey: cubit.ready.apiKey ?? '', maxRetries: 0 });
    const ask = (max_tokens: number) =>
      client.chat.completions.create({
        model: 'demo',
        messages: [{ role: 'user', content: 'Write a very long poem about rivers.' }],
        max_tokens,
        stream: true,
      });
    const stream = await ask(400);
    const started = Promise.withResolvers<void>();
    const failed = (async () => {
      for await (const _ of stream) started.resolve();
    })();
    const settled = failed.then(
      () => null,
      (error: unknown) => error,
    );
    await started.promise;
    const [worker] = childrenOf(cubit.ready.pid);
    process.kill(worker as number, 'SIGKILL');
    expect(await settled).toBeInstanceOf(OpenAI.APIError);
    await until('the unit serves again', async () => {
      try {
        for await (const _ of await ask(2));
        return true;
      } catch (error) {
        expect([502, 503]).toContain((error as { status?: number }).status);
        return false;
      }
    });
    await until('nothing runs', async () => (await gauge('cubit_running')) === 0);
    expect((await gauge('cubit_work_settled_us_total')) + (await gauge('cubit_work_returned_us_total'))).toBe(
      await gauge('cubit_work_reserved_us_total'),
    );
  });
});
