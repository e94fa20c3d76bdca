import { Agent, request } from 'undici';
import { CubitError } from '../core/errors.ts';
import type { Counters, SharedLease } from './port.ts';

const ANSWER_MS_MAX = 1_000;

/** The counters of the control process (`memory`), asked for over HTTP at `url`. */
export function remoteCounters(url: string, token: string): Counters {
  const dispatcher = new Agent({ headersTimeout: ANSWER_MS_MAX, bodyTimeout: ANSWER_MS_MAX, connections: 2 });
  return {
    async exchange(reports) {
      if (reports.length === 0) return [];
      const { statusCode, body } = await request(url, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ reports }),
        dispatcher,
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      });
      const text = await body.text();
      if (statusCode === 200) return (JSON.parse(text) as { leases: SharedLease[] }).leases;
      throw new CubitError(
        'engine_unavailable',
        `The control plane grants no leases (${statusCode}): ${text.slice(0, 200)}`,
      );
    },
    close: () => dispatcher.destroy(),
  };
}
