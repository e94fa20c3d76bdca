import { readFileSync } from 'node:fs';
import { CubitError } from '../core/errors.ts';
import type { Counters, ModelReport, SharedLease } from './port.ts';

const script = readFileSync(new URL('./exchange.lua', import.meta.url), 'utf8');
const ANSWER_MS_MAX = 500;

export interface RedisCountersOptions {
  /** `redis://user:password@host:6379/0`, or `rediss://` for TLS. */
  readonly url: string;
  /** Before every key. */
  readonly prefix: string;
  readonly warn: (error: unknown) => void;
  /** For tests; else Redis's own clock, which all gateways share. */
  readonly nowMs?: () => number;
}

/**
 * Counters in Redis or Valkey. One script a served model and report does it all at once. Does not wait for the server: while
 * it cannot be reached `exchange` rejects, and connecting goes on behind.
 */
export async function redisCounters({ url, prefix, warn, nowMs }: RedisCountersOptions): Promise<Counters> {
  // Here, so that a Cubit without Redis does not load it.
  const { createClient } = await import('@redis/client');
  const client = createClient({
    url,
    disableOfflineQueue: true,
    socket: { connectTimeout: 2_000, reconnectStrategy: (retries) => Math.min(2_000, 50 * 2 ** Math.min(retries, 6)) },
  });
  client.on('error', warn);
  void client.connect().catch(warn);
  let sha: string | null = null;
  client.on('ready', () => {
    // A server that was started anew has forgotten it.
    sha = null;
  });

  async function one({ servedModelId, report }: ModelReport): Promise<SharedLease> {
    // The hash tag keeps both keys on one node of a cluster.
    const keys = [`${prefix}:{${servedModelId}}:capacity`, `${prefix}:{${servedModelId}}:gateways`];
    const options = { keys, arguments: [JSON.stringify(report), nowMs === undefined ? '' : String(nowMs())] };
    try {
      sha ??= await client.scriptLoad(script);
      return JSON.parse(String(await client.evalSha(sha, options))) as SharedLease;
    } catch (error) {
      if (!String((error as Error).message).startsWith('NOSCRIPT')) throw error;
      return JSON.parse(String(await client.eval(script, options))) as SharedLease;
    }
  }

  return {
    async exchange(reports) {
      if (!client.isReady) throw new CubitError('engine_unavailable', 'Redis is not reached.');
      const late = Promise.withResolvers<never>();
      const fault = new CubitError('engine_unavailable', `Redis did not answer within ${ANSWER_MS_MAX} ms.`);
      const timer = setTimeout(() => late.reject(fault), ANSWER_MS_MAX);
      try {
        return await Promise.race([Promise.all(reports.map(one)), late.promise]);
      } finally {
        clearTimeout(timer);
      }
    },
    async close() {
      client.destroy();
    },
  };
}
