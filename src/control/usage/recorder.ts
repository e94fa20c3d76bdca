import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { Receipt } from '../../core/commerce/metering.ts';
import { insertReceipts } from '../../store/receipts.ts';
import type { Database } from '../../store/schema.ts';
import { isUnwritable } from '../../store/storage-error.ts';

const BATCH_MAX = 500;
const BATCH_WAIT_MS = 200;
const PENDING_MAX = 100_000;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;
const REPORT_MS = 1000;

export interface ReceiptRecorder {
  /** Never blocks, never throws. */
  record(receipt: Receipt): void;
  /** Resolves when everything recorded before is written (or given up, with a report). */
  flush(): Promise<void>;
  /** Writes what is left, trying once, and takes nothing more. */
  close(): Promise<void>;
}

/**
 * Writes receipts behind the requests' backs, up to 500 in a statement, at the latest 200 ms after the first. While the
 * store cannot take them (a full disk) up to 100,000 wait and are tried again ever more slowly; what comes beyond that
 * is lost, counted and reported. A receipt that no table would take is dropped alone, not its whole batch.
 */
export function receiptRecorder(deps: {
  readonly db: Kysely<Database>;
  readonly log: { error(fields: object, message: string): void };
  readonly pendingMax?: number;
}): ReceiptRecorder {
  const { db, log, pendingMax = PENDING_MAX } = deps;
  const pending: Receipt[] = [];
  const closing = new AbortController();
  let batchMax = BATCH_MAX;
  let timer: NodeJS.Timeout | undefined;
  let draining: Promise<void> | null = null;
  let lost = 0;
  let reporting: NodeJS.Timeout | undefined;

  function record(receipt: Receipt): void {
    if (closing.signal.aborted || pending.length >= pendingMax) {
      lose(1);
      return;
    }
    pending.push(receipt);
    if (pending.length >= BATCH_MAX) void start();
    else timer ??= setTimeout(start, BATCH_WAIT_MS).unref();
  }

  async function start(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    if (pending.length > 0) draining ??= drain();
    await draining;
  }

  async function drain(): Promise<void> {
    for (let failures = 0; pending.length > 0; ) {
      const batch = pending.slice(0, batchMax);
      try {
        await insertReceipts(db, batch);
        pending.splice(0, batch.length);
        batchMax = Math.min(BATCH_MAX, batchMax * 2);
        failures = 0;
      } catch (error) {
        if (isUnwritable(error)) narrow(batch, error);
        else if (closing.signal.aborted) giveUp(error);
        else await backOff(++failures, error);
      }
    }
    draining = null;
  }

  /** Halves the batch until the receipt that cannot be written stands alone. */
  function narrow(batch: readonly Receipt[], error: unknown): void {
    batchMax = Math.ceil(batch.length / 2);
    if (batch.length > 1) return;
    log.error({ err: error, requestId: batch[0]?.requestId }, 'a receipt cannot be written');
    pending.shift();
    lose(1);
  }

  async function backOff(failures: number, error: unknown): Promise<void> {
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (failures - 1));
    log.error({ err: error, pending: pending.length, waitMs }, 'receipts wait: the store does not take them');
    await sleep(waitMs, undefined, { signal: closing.signal }).catch(() => {});
  }

  function giveUp(error: unknown): void {
    log.error({ err: error }, 'the store did not take the last receipts');
    lose(pending.splice(0).length);
  }

  /** Counted at once, reported at most once a second. */
  function lose(count: number): void {
    lost += count;
    reporting ??= setTimeout(report, REPORT_MS).unref();
  }

  function report(): void {
    clearTimeout(reporting);
    reporting = undefined;
    log.error({ lost }, 'receipts were lost');
  }

  return {
    record,
    flush: start,
    async close() {
      closing.abort();
      await start();
      if (reporting !== undefined) report();
    },
  };
}
