import { expect, it } from 'vitest';
import { FairQueue, type Waiting } from '../core/serving/queue.ts';
import { memoryCounters } from '../counters/memory.ts';
import { endpoint, Harness, served, snapshot } from './fixture.ts';
import { DEFAULT_LIMITS } from './limits.ts';

const item = (id: string, weight = 1): Waiting => ({
  deadlineMs: 1e6,
  workUs: 100,
  bytes: 1,
  shares: [{ id, weight }],
});

/** Whose requests come first out of a queue with ten of each. */
function firstOf(queue: FairQueue<Waiting>, count: number): Record<string, number> {
  const taken: Record<string, number> = {};
  for (let n = 0; n < count; n += 1) {
    const id = queue.take()!.shares[0]!.id;
    taken[id] = (taken[id] ?? 0) + 1;
  }
  return taken;
}

it('a share that other gateways serve too gets here what its part is, also of those that wait already', () => {
  const queue = new FairQueue<Waiting>(DEFAULT_LIMITS.queue);
  for (let n = 0; n < 10; n += 1) for (const id of ['here', 'everywhere']) queue.offer(item(id), 0);
  queue.setParts(new Map([['everywhere', 1 / 3]]));
  expect(firstOf(queue, 8)).toEqual({ here: 6, everywhere: 2 });
  // Work ahead of one more goes by the parts too.
  const aheadUs = queue.aheadUs(item('here'));
  queue.setParts(new Map());
  expect(queue.aheadUs(item('here'))).toBeGreaterThan(aheadUs);
  expect(firstOf(queue, 4)).toEqual({ here: 2, everywhere: 2 });
});

it('reports shares with their weights: of a group its own, of a pool its tenant’s', async () => {
  const counters = memoryCounters(() => performance.now());
  const reports: object[] = [];
  const watched = {
    ...counters,
    exchange: (list: Parameters<typeof counters.exchange>[0]) => {
      reports.push(...list.map(({ report: { keys, keyWeights } }) => ({ keys: Object.keys(keys), keyWeights })));
      return counters.exchange(list);
    },
  };
  await using harness = await new Harness().start(endpoint({ servedModels: [served()] }));
  const plain = endpoint({ servedModels: [served()] });
  const world = snapshot(plain);
  const keys = new Map(
    Array.from(world.keys, ([hash, key]) => [hash, { ...key, share: { id: 'group', weight: 3 } }] as const),
  );
  harness.gateway.apply({ ...world, keys });
  const sharing = harness.gateway.share(watched, 'a');
  const reply = await harness.post('/v1/chat/completions', {
    model: 'demo',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 3,
  });
  expect(reply.status).toBe(200);
  await expect.poll(() => reports.at(-1), { timeout: 20_000 }).toEqual({ keys: ['group'], keyWeights: { group: 3 } });
  await sharing.stop();
});
