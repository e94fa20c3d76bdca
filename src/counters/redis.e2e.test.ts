import { afterAll, beforeAll, expect, test } from 'vitest';
import { countersSuite } from './counters.case.ts';
import { type LocalRedis, startLocalRedis } from './local-redis.ts';
import type { Counters } from './port.ts';
import { redisCounters } from './redis.ts';

let redis: LocalRedis;
beforeAll(async () => {
  redis = await startLocalRedis();
});
afterAll(() => redis.stop());

async function connected(nowMs?: () => number): Promise<Counters> {
  const counters = await redisCounters({
    url: redis.url,
    prefix: 'test',
    warn: () => {},
    ...(nowMs !== undefined && { nowMs }),
  });
  await expect
    .poll(
      () =>
        counters.exchange([]).then(
          () => true,
          () => false,
        ),
      { timeout: 10_000 },
    )
    .toBe(true);
  return counters;
}

countersSuite('redis', connected);

test('redis: a server that went away is refused at once, and used again when it is back, without its script too', async () => {
  const counters = await connected();
  await redis.kill();
  await expect
    .poll(
      () =>
        counters.exchange([]).then(
          () => false,
          () => true,
        ),
      { timeout: 10_000 },
    )
    .toBe(true);
  await redis.start();
  await expect
    .poll(
      () =>
        counters.exchange([]).then(
          () => true,
          () => false,
        ),
      { timeout: 20_000 },
    )
    .toBe(true);
  await counters.close();
});
