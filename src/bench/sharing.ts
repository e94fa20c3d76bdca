import { parseArgs } from 'node:util';
import { startLocalRedis } from '../counters/local-redis.ts';
import { memoryCounters } from '../counters/memory.ts';
import type { Counters } from '../counters/port.ts';
import { redisCounters } from '../counters/redis.ts';
import { SCENARIOS, type SharingFigures, simulateSharing } from './sharing/simulate.ts';

/**
 * `npm run bench:sharing`: three gateways and one endpoint of four units, asked for more than it has, sharing by leases through a real
 * Redis on a simulated clock. How much of the capacity is let in, how evenly over keys, and what it takes of round trips.
 */
const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    memory: { type: 'boolean', default: false },
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: '1' },
  },
});
const seconds = Number(values.seconds);
if (!(seconds >= 10 && seconds <= 100_000)) throw new Error('--seconds is a number from 10 to 100000');

const clock = { nowMs: Date.now() };
const redis = values.memory ? null : await startLocalRedis();
try {
  const counters = redis === null ? memoryCounters(() => clock.nowMs) : await connected(redis.url);
  const figures: SharingFigures[] = [];
  for (const scenario of SCENARIOS) {
    figures.push(await simulateSharing({ scenario, counters, clock, seconds, seed: Number(values.seed) }));
    // The next one begins with nothing: gateways and level of this one are gone by then.
    clock.nowMs += 600_000;
  }
  await counters.close();
  if (values.json) console.log(JSON.stringify({ counters: redis === null ? 'memory' : 'redis', figures }, null, 2));
  else for (const one of figures) console.log(lineOf(one));
} finally {
  await redis?.stop();
}

async function connected(url: string): Promise<Counters> {
  const warn = (error: unknown) => console.error(String(error));
  const counters = await redisCounters({ url, prefix: 'bench', warn, nowMs: () => clock.nowMs });
  for (let tries = 0; ; tries += 1) {
    try {
      await counters.exchange([]);
      return counters;
    } catch (error) {
      if (tries > 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function lineOf(one: SharingFigures): string {
  const percent = (share: number) => `${(share * 100).toFixed(2)} %`;
  return `${one.scenario}: ${percent(one.admittedShare)} of capacity let in, keys within ${percent(one.keyDeviationMax)} of equal, overshoot ${one.overshootUs} us, ${one.exchangesPerSecond.toFixed(1)} round trips a second and gateway, ${one.requestsPerExchange.toFixed(2)} requests a round trip`;
}
