import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import type { Segment } from '../../core/commerce/billing.ts';
import { onPostgres, testDatabase } from '../../store/fixture.ts';
import { balanceMicros, checkLedger } from '../../store/ledger.ts';
import { openStore, type Store, type StoreOptions } from '../../store/store.ts';
import { insertGroup, insertTenant } from './fixture.ts';

/** Invariant 8: a kill -9 at any moment loses no bill and charges nothing twice. */
const KILLS = 20;
const HOURS = 120;
const HOUR = 3_600_000;
const FIRST = Date.parse('2025-04-13T00:00:00Z');
const NOW = FIRST + (HOURS + 10) * HOUR;
const ZONES = [
  { zone: 'Asia/Shanghai', offsetMs: 0 },
  { zone: 'Asia/Kolkata', offsetMs: HOUR / 2 },
  { zone: 'Asia/Kathmandu', offsetMs: (3 * HOUR) / 4 },
];

interface Group {
  readonly id: string;
  readonly tenantId: string;
  readonly fromMs: number;
  readonly endMs: number;
  readonly segments: readonly Segment[];
}

/** mulberry32: the same seed makes the same groups and the same kills. */
function randomFrom(seed: number): (max: number) => number {
  let state = seed;
  return (max) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * max);
  };
}

function makeGroups(random: (max: number) => number): Group[] {
  return Array.from({ length: 60 }, (_, i) => {
    const fromMs = FIRST + random(HOURS * HOUR);
    const lengthMs = [random(3000), random(HOUR), random(HOURS * HOUR)][random(3)]!;
    const endMs = Math.min(fromMs + lengthMs, FIRST + HOURS * HOUR);
    const starts = new Set([fromMs, ...Array.from({ length: random(5) }, () => fromMs + 1 + random(lengthMs + 1))]);
    const segments = [...starts]
      .sort((a, b) => a - b)
      .map((at) => ({ fromMs: at, units: 1 + random(9), hourlyPriceMicros: BigInt(random(20_000_000)) }));
    return { id: `ig-${i}`, tenantId: `t-${i % 12}`, fromMs, endMs, segments };
  });
}

/** The same rule in other words: each second that was begun, one by one, at the segment of its first instant. */
function oracle(groups: readonly Group[]) {
  const wallets = new Map<string, bigint>();
  const hours = new Map<string, number>();
  for (const { tenantId, fromMs, endMs, segments } of groups) {
    const { offsetMs } = ZONES[Number(tenantId.slice(2)) % ZONES.length]!;
    let product = 0n;
    for (let atMs = fromMs; atMs === fromMs || atMs < endMs; atMs += 1000) {
      const segment = segments.findLast((candidate) => candidate.fromMs <= atMs)!;
      const hour = `${tenantId} ${Math.floor((atMs + offsetMs) / HOUR) * HOUR - offsetMs}`;
      hours.set(hour, (hours.get(hour) ?? 0) + segment.units);
      product += BigInt(segment.units) * segment.hourlyPriceMicros;
    }
    const doubled = (product * 2n) / 3600n; // in half micros, cut off
    const exactHalf = doubled % 2n === 1n && (product * 2n) % 3600n === 0n;
    const rounded = exactHalf && (doubled / 2n) % 2n === 0n ? doubled / 2n : (doubled + 1n) / 2n;
    wallets.set(tenantId, (wallets.get(tenantId) ?? 0n) - rounded);
  }
  return { wallets, hours };
}

const moduleUrl = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
const SETTLER = `
  import { openStore } from ${moduleUrl('../../store/store.ts')};
  import { newId } from ${moduleUrl('../call.ts')};
  import { settle } from ${moduleUrl('./settle.ts')};
  const { db, close } = await openStore(JSON.parse(process.argv[1]));
  for (let more = true; more; ) {
    console.log('.');
    const run = await settle({ db, now: () => ${NOW}, newId, billsMax: 1 });
    if (run.failures.length > 0) throw run.failures[0].error;
    more = run.more;
  }
  await close();`;

/** Starts a settler; `atWork` resolves when it begins its n-th bill, or has ended because nothing was left. */
function startSettler(database: StoreOptions, bills = 0) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', SETTLER, JSON.stringify(database)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  const begun = new Promise<void>((resolve) => {
    let dots = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      dots += chunk.toString().split('.').length - 1;
      if (dots >= bills) resolve();
    });
  });
  return { atWork: Promise.race([begun, ended]), ended, kill: () => child.kill('SIGKILL') };
}

async function billCount(store: Store): Promise<number> {
  const { n } = await store.db
    .selectFrom('bills')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .executeTakeFirstOrThrow();
  return n;
}

test(`settling survives ${KILLS} kills: every hour billed once, to the micro`, async () => {
  const seed = Number(process.env['CUBIT_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`seed ${seed} (CUBIT_SEED=${seed} makes the same run)`);
  const random = randomFrom(seed);
  const groups = makeGroups(random);
  const { wallets, hours } = oracle(groups);
  const database = await testDatabase();
  const store = await openStore(database);
  try {
    for (let i = 0; i < 12; i++) await insertTenant(store.db, `t-${i}`, ZONES[i % ZONES.length]!.zone);
    for (const group of groups) await insertGroup(store.db, group.tenantId, group);

    let midWork = 0;
    for (let i = 0; i < KILLS; i++) {
      // Every third time two settlers race; then both are killed.
      const settlers = Array.from({ length: i % 3 === 2 ? 2 : 1 }, () => startSettler(database, 1 + random(10)));
      await Promise.race(settlers.map((settler) => settler.atWork));
      await sleep(random(8));
      for (const settler of settlers) settler.kill();
      const ends = await Promise.all(settlers.map((settler) => settler.ended));
      if (ends.every(([, signal]) => signal === 'SIGKILL')) midWork += 1;
      expect(await checkLedger(store.db)).toMatchObject({ balanced: true, problems: [] });
    }
    const before = await billCount(store);
    console.log(
      `${midWork} of ${KILLS} kills hit a settler at work; ${before} of ${hours.size} bills were written by then`,
    );
    expect(midWork).toBeGreaterThanOrEqual(15);
    expect((await startSettler(database).ended)[0]).toBe(0);
    await check(store, wallets, hours);
    expect((await startSettler(database).ended)[0]).toBe(0);
    await check(store, wallets, hours);
  } finally {
    await store.close();
  }
});

async function check(store: Store, wallets: ReadonlyMap<string, bigint>, hours: ReadonlyMap<string, number>) {
  const rows = await store.db
    .selectFrom('bills')
    .innerJoin('bill_lines', 'bill_lines.bill_id', 'bills.id')
    .select((eb) => ['tenant_id', 'hour_from_ms', eb.fn.sum<number>('unit_seconds').as('unit_seconds')])
    .groupBy(['bills.id', 'tenant_id', 'hour_from_ms'])
    .execute();
  expect(rows).toHaveLength(hours.size); // two bills of one hour would be two rows
  for (const row of rows)
    expect([row, hours.get(`${row.tenant_id} ${row.hour_from_ms}`)]).toEqual([row, row.unit_seconds]);
  for (const [tenantId, micros] of wallets)
    expect([tenantId, await balanceMicros(store.db, tenantId)]).toEqual([tenantId, micros]);
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, transactions: hours.size, problems: [] });
  const audits = await sql<{ n: number }>`select count(*) as n from audit where verb = 'bill.issue'`.execute(store.db);
  expect(audits.rows).toEqual([{ n: hours.size }]);
  if (onPostgres()) return;
  expect((await sql`pragma integrity_check`.execute(store.db)).rows).toEqual([{ integrity_check: 'ok' }]);
}
