import { settle } from '../../control/billing/settle.ts';
import { newId } from '../../control/call.ts';
import { mean } from '../../core/statistics.ts';
import { checkLedger } from '../../store/ledger.ts';
import type { Store } from '../../store/store.ts';
import { HOUR_MS, insertWorld, START_MS } from './world.ts';

export interface HourRuns {
  readonly endpoints: number;
  readonly groups: number;
  /** Each run issues one bill for every tenant, three lines on each. */
  readonly bills: number;
  readonly lines: number;
  readonly runMs: readonly number[];
}

/** Hour-runs over tenants with one endpoint of three groups each: a bill, and so a charge, for every endpoint. */
export async function hourRuns(store: Store, endpoints: number, runs: number): Promise<HourRuns> {
  await insertWorld(store.db, { tenants: endpoints, groupsPerTenant: 3 });
  const runMs: number[] = [];
  let bills = 0;
  for (let hour = 1; hour <= runs; hour++) {
    const startedAt = performance.now();
    bills = await settleHour(store, hour);
    runMs.push(Math.round(performance.now() - startedAt));
  }
  return { endpoints, groups: 3 * endpoints, bills, lines: 3 * bills, runMs };
}

export interface History {
  readonly groups: number;
  readonly hours: number;
  readonly lines: number;
  readonly seconds: number;
  /** Of this process: before the first bill, the most at the end of any day, and at the end. */
  readonly rssMb: { readonly start: number; readonly max: number; readonly end: number };
  /** Microseconds a line, at the first tenth of the history and at its end; a day's mean each. */
  readonly usPerLine: { readonly at1x: number; readonly at10x: number };
  /** The same of this process's processors only, which says more on a busy machine. */
  readonly cpuUsPerLine: { readonly at1x: number; readonly at10x: number };
}

/** A history of hourly bills for `groups` groups, ten to a tenant. Throws when the ledger does not add up at its end. */
export async function history(
  store: Store,
  size: { readonly groups: number; readonly hours: number },
  progress: (hour: number) => void,
): Promise<History> {
  const { groups, hours } = size;
  await insertWorld(store.db, { tenants: groups / 10, groupsPerTenant: 10 });
  const start = rssMb();
  let max = start;
  const hourMs: number[] = [];
  const cpuMs: number[] = [];
  for (let hour = 1; hour <= hours; hour++) {
    const startedAt = performance.now();
    const cpuBefore = process.cpuUsage();
    await settleHour(store, hour);
    hourMs.push(performance.now() - startedAt);
    const { user, system } = process.cpuUsage(cpuBefore);
    cpuMs.push((user + system) / 1000);
    if (hour % 24 === 0) max = Math.max(max, rssMb());
    progress(hour);
  }
  const { balanced, problems } = await checkLedger(store.db);
  if (!balanced) throw new Error(`the ledger does not add up: ${problems[0]}`);
  const usPerLine = (ms: readonly number[]) => {
    const at = (hour: number) => Math.round((1000 * mean(ms.slice(Math.max(0, hour - 24), hour))) / groups);
    return { at1x: at(Math.round(hours / 10)), at10x: at(hours) };
  };
  return {
    groups,
    hours,
    lines: await countLines(store),
    seconds: Math.round(sum(hourMs) / 1000),
    rssMb: { start, max, end: rssMb() },
    usPerLine: usPerLine(hourMs),
    cpuUsPerLine: usPerLine(cpuMs),
  };
}

/** Bills issued when the hour's come due. */
async function settleHour({ db }: Store, hour: number): Promise<number> {
  const nowMs = START_MS + (hour + 1) * HOUR_MS;
  let bills = 0;
  for (;;) {
    const run = await settle({ db, now: () => nowMs, newId });
    bills += run.bills;
    if (run.failures[0] !== undefined) throw run.failures[0].error;
    if (!run.more) return bills;
  }
}

async function countLines({ db }: Store): Promise<number> {
  const { lines } = await db
    .selectFrom('bill_lines')
    .select((eb) => eb.fn.countAll<number>().as('lines'))
    .executeTakeFirstOrThrow();
  return lines;
}

function rssMb(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
