import type { ControlLog } from '../call.ts';
import { type SettleDeps, settle } from './settle.ts';

const INTERVAL_MS = 60_000;

export interface SettleLoop {
  /** Ends after the bill that is being written. */
  stop(): Promise<void>;
}

/**
 * Settles at once and then every minute. A run that fails is logged and made again at the next turn: no bill is lost,
 * only late. The timer does not keep the process alive.
 */
export function settleLoop(
  deps: Omit<SettleDeps, 'signal'> & { readonly log: ControlLog; readonly intervalMs?: number },
): SettleLoop {
  const { log, intervalMs = INTERVAL_MS } = deps;
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let run = turn();

  async function turn(): Promise<void> {
    let waitMs = intervalMs;
    try {
      const { bills, more, failures } = await settle({ ...deps, signal: stopping.signal });
      if (bills > 0) log.info({ bills, more }, 'bills issued');
      for (const { tenantId, error } of failures) log.error({ err: error, tenantId }, 'bills wait for the next run');
      if (more && failures.length === 0) waitMs = 0;
    } catch (error) {
      log.error({ err: error }, 'no bills now; the next run makes up for it');
    }
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      run = turn();
    }, waitMs).unref();
  }

  return {
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await run;
    },
  };
}
