import type { Config } from '../config.ts';
import type { Logger } from '../log.ts';
import { memoryCounters } from './memory.ts';
import type { Counters } from './port.ts';
import { redisCounters } from './redis.ts';

/** In Redis when there is one, else in this process. */
export async function countersOf(
  { redis: url, redisPrefix: prefix }: Pick<Config, 'redis' | 'redisPrefix'>,
  log: Pick<Logger, 'warn'>,
): Promise<Counters> {
  if (url === null) return memoryCounters(Date.now);
  let said = '';
  const warn = (error: unknown) => {
    // Tried again for as long as it is away: said once for each reason.
    const { message } = error as Error;
    if (message !== said) log.warn({ err: error }, 'Redis is not reached; it is tried again');
    said = message;
  };
  return redisCounters({ url, prefix, warn });
}
