import { setTimeout as sleep } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { Receipt } from '../../core/commerce/metering.ts';
import { insertLines, lineOf } from '../../store/receipts.ts';
import type { Database } from '../../store/schema.ts';
import { isUnwritable } from '../../store/storage-error.ts';
import { JOURNAL_LIMITS, Journal, type JournalLimits } from './journal.ts';

const BATCH_MAX = 500;
const SHIP_EVERY_MS = 200;
const RETRY_MS_MIN = 250;
const RETRY_MS_MAX = 30_000;
const REPORT_MS = 1000;
/** Time between two batches over the time of one: requests come first. Not when the journal is half full. */
const REST = 9;

export interface ReceiptRecorder {
  /** Never blocks, never throws. */
  record(receipt: Receipt): void;
  /** Resolves when everything recorded before is in the store (or given up, with a report). */
  flush(): Promise<void>;
  /** Ships what is left, trying once, and takes nothing more. What the store does not take stays for the next start. */
  close(): Promise<void>;
}

export interface RecorderDeps extends ShipperDeps {
  readonly db: Kysely<Database>;
}

interface ShipperDeps {
  /** Of the journal; this process's alone. */
  readonly folder: string;
  readonly log: { error(fields: object, message: string): void };
  readonly limits?: Partial<JournalLimits>;
}

/** Receipts, by way of a journal, into this process's store. Throws as `receiptShipper` does. */
export function receiptRecorder({ db, ...deps }: RecorderDeps): ReceiptRecorder {
  return receiptShipper({ ...deps, insert: (lines) => insertLines(db, lines) });
}

/**
 * Receipts leave the requests' way at once, to an append-only journal on this machine's disk, and are shipped from there
 * to the store behind the requests' backs, each exactly once by its id: a segment of the journal is removed only after
 * its receipts are stored, and storing one again changes nothing. So a kill -9 loses at most what came since the last
 * fsync (50 ms and the disk's time), and a store that cannot be reached or is full loses nothing while the journal has
 * room. What comes beyond that is lost, counted and reported; a receipt that no table would take is dropped alone.
 * Throws `config_invalid` or `disk_full` when there is no journal to be had.
 */
export function receiptShipper({
  insert,
  folder,
  log,
  limits,
}: ShipperDeps & {
  /** All lines of a batch, each once by its id, or, when it throws, none; a TypeError says that a line is none. */
  readonly insert: (lines: readonly string[]) => Promise<void>;
}): ReceiptRecorder {
  const bounds = { ...JOURNAL_LIMITS, ...limits };
  const journal = new Journal(
    folder,
    (err, waitMs) => log.error({ err, waitMs }, 'receipts wait in memory: the journal cannot be written'),
    bounds,
  );
  const closing = new AbortController();
  const losses = lossReport(log);
  let timer: NodeJS.Timeout | undefined;
  let shipping: Promise<void> | null = null;
  let hurried = false;
  let batchMax = BATCH_MAX;

  function record(receipt: Receipt): void {
    if (journal.append(lineOf(receipt))) wake();
    else losses.add(1);
  }

  function wake(): void {
    timer ??= setTimeout(() => void start(), SHIP_EVERY_MS).unref();
  }

  async function start(): Promise<void> {
    shipping ??= ship();
    await shipping;
  }

  async function ship(): Promise<void> {
    clearTimeout(timer);
    try {
      for (let failures = 0; ; ) {
        const segment = await journal.oldest();
        if (segment === null) break;
        try {
          await store(await journal.read(segment));
          await journal.remove(segment);
          failures = 0;
        } catch (error) {
          if (closing.signal.aborted) {
            log.error({ err: error, bytes: journal.bytes }, 'receipts stay in the journal until the next start');
            break;
          }
          await backOff(++failures, error);
        }
        // What came meanwhile waits for its own turn, unless somebody waits for it.
        if (!hurried && journal.bytes < bounds.segmentBytes) break;
      }
    } finally {
      shipping = null;
      timer = undefined;
      if (journal.bytes > 0 && !closing.signal.aborted) wake();
    }
  }

  async function store(lines: string[]): Promise<void> {
    for (let at = 0; at < lines.length; ) {
      const batch = lines.slice(at, at + batchMax);
      const startMs = performance.now();
      try {
        await insert(batch);
        at += batch.length;
        batchMax = Math.min(BATCH_MAX, batchMax * 2);
      } catch (error) {
        if (!isUnwritable(error) && batch.every(isJson)) throw error;
        // Halves the batch until the one that cannot be written stands alone.
        batchMax = Math.ceil(batch.length / 2);
        if (batch.length > 1) continue;
        log.error({ err: error, line: batch[0]?.slice(0, 60) }, 'a receipt cannot be written');
        losses.add(1);
        at += 1;
      }
      const isUrgent = hurried || journal.bytes > bounds.bytesMax / 2;
      if (!isUrgent && at < lines.length) await sleep(REST * (performance.now() - startMs), undefined, { ref: false });
    }
  }

  async function backOff(failures: number, error: unknown): Promise<void> {
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (failures - 1));
    log.error({ err: error, bytes: journal.bytes, waitMs }, 'receipts wait: the store does not take them');
    await sleep(waitMs, undefined, { signal: closing.signal, ref: false }).catch(() => {});
  }

  async function flush(): Promise<void> {
    hurried = true;
    try {
      // One that is under way may have passed what was recorded last.
      await start();
      if (journal.bytes > 0) await start();
    } finally {
      hurried = false;
    }
  }

  // What an earlier process left behind.
  if (journal.bytes > 0) wake();
  return {
    record,
    flush,
    async close() {
      closing.abort();
      journal.stop();
      await flush();
      clearTimeout(timer);
      losses.add(await journal.close());
      losses.close();
    },
  };
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Counted at once, reported at most once a second. */
function lossReport(log: RecorderDeps['log']) {
  let lost = 0;
  let timer: NodeJS.Timeout | undefined;
  const report = () => {
    clearTimeout(timer);
    timer = undefined;
    log.error({ lost }, 'receipts were lost');
  };
  return {
    add: (count: number) => {
      if (count === 0) return;
      lost += count;
      timer ??= setTimeout(report, REPORT_MS).unref();
    },
    close: () => {
      if (timer !== undefined) report();
    },
  };
}
