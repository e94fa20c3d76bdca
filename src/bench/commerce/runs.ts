import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { settle } from '../../control/billing/settle.ts';
import { newId } from '../../control/call.ts';
import { mean } from '../../core/statistics.ts';
import { checkLedger } from '../../store/ledger.ts';
import type { Store } from '../../store/store.ts';
import { HOUR_MS, insertWorld, START_MS } from './world.ts';

/** Of `fsWrite`, on Linux. */
const BLOCK_BYTES = 512;

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

/** Of this process, MiB. `heap` is what is alive after a full collection; `rss` includes garbage not collected yet. */
export interface Memory {
  readonly hour: number;
  readonly rss: number;
  readonly heap: number;
  readonly external: number;
}

/** A day's mean. */
export interface LineCost {
  readonly us: number;
  /** Of this process's processors only, which says more on a busy machine. */
  readonly cpuUs: number;
  /** Written to files by this process; null where the server writes. */
  readonly diskBytes: number | null;
}

export interface History {
  readonly groups: number;
  readonly hours: number;
  readonly lines: number;
  readonly seconds: number;
  /** Before the first bill, after a tenth, and at every sixth of the way to the end. */
  readonly memoryMb: readonly Memory[];
  /** At the first tenth of the history and at its end. */
  readonly perLine: { readonly at1x: LineCost; readonly at10x: LineCost };
  readonly ratio: { readonly us: number; readonly cpuUs: number; readonly diskBytes: number | null };
  /** An hour-run over all groups: settling one more hour of the whole installation. */
  readonly hourRunMs: { readonly at1x: number; readonly at10x: number };
}

/** A history of hourly bills for `groups` groups, ten to a tenant. Throws when the ledger does not add up at its end. */
export async function history(
  store: Store,
  size: { readonly groups: number; readonly hours: number; readonly onFile: boolean },
  progress: (hour: number) => void,
): Promise<History> {
  const { groups, hours, onFile } = size;
  await insertWorld(store.db, { tenants: groups / 10, groupsPerTenant: 10 });
  const steps = new Set([Math.round(hours / 10), ...[1, 2, 3, 4, 5, 6].map((i) => Math.round((hours * i) / 6))]);
  const memoryMb = [memory(0)];
  const spent: LineCost[] = [];
  for (let hour = 1; hour <= hours; hour++) {
    spent.push(await cost(() => settleHour(store, hour), onFile));
    if (steps.has(hour)) memoryMb.push(memory(hour));
    progress(hour);
  }
  const { balanced, problems } = await checkLedger(store.db);
  if (!balanced) throw new Error(`the ledger does not add up: ${problems[0]}`);
  const day = (hour: number) => dayMean(spent.slice(Math.max(0, hour - 24), hour), groups);
  const [at1x, at10x] = [day(Math.round(hours / 10)), day(hours)];
  const ratio = (of: (line: LineCost) => number | null) => {
    const [before, after] = [of(at1x), of(at10x)];
    return before === null || after === null ? null : round(after / before, 2);
  };
  return {
    groups,
    hours,
    lines: await countLines(store),
    seconds: Math.round(sum(spent.map((hour) => hour.us)) / 1e6),
    memoryMb,
    perLine: { at1x, at10x },
    ratio: { us: ratio((line) => line.us)!, cpuUs: ratio((line) => line.cpuUs)!, diskBytes: ratio((l) => l.diskBytes) },
    hourRunMs: { at1x: Math.round((at1x.us * groups) / 1000), at10x: Math.round((at10x.us * groups) / 1000) },
  };
}

async function cost(work: () => Promise<unknown>, onFile: boolean): Promise<LineCost> {
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const before = process.resourceUsage().fsWrite;
  await work();
  const { user, system } = process.cpuUsage(cpu);
  const blocks = process.resourceUsage().fsWrite - before;
  const us = (performance.now() - startedAt) * 1000;
  return { us, cpuUs: user + system, diskBytes: onFile ? blocks * BLOCK_BYTES : null };
}

function dayMean(hours: readonly LineCost[], groups: number): LineCost {
  const [first] = hours;
  const of = (figure: (hour: LineCost) => number) => round(mean(hours.map(figure)) / groups, 1);
  const diskBytes = first?.diskBytes === null ? null : of((hour) => hour.diskBytes ?? 0);
  return { us: of((hour) => hour.us), cpuUs: of((hour) => hour.cpuUs), diskBytes };
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

function memory(hour: number): Memory {
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  const mb = (bytes: number) => Math.round(bytes / 2 ** 20);
  return { hour, rss: mb(rss), heap: mb(heapUsed), external: mb(external) };
}

/** A full collection, so that what is counted is what is held. */
function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
