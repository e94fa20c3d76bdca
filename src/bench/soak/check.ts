import type { Kysely } from 'kysely';
import { balanceMicros, checkLedger } from '../../store/ledger.ts';
import type { Database } from '../../store/schema.ts';
import type { SoakEvent } from './events.ts';
import { type Expected, expected } from './oracle.ts';

const FAULTS_MAX = 20;

/** Compares every wallet and bill with what the events say, to the micro; what differs, for people. */
export async function check(db: Kysely<Database>, events: readonly SoakEvent[]): Promise<string[]> {
  const faults = [...(await checkLedger(db)).problems];
  for (const [tenantId, wanted] of expected(events)) {
    const balance = await balanceMicros(db, tenantId);
    if (balance !== wanted.balanceMicros) faults.push(`${tenantId}: balance ${balance}, not ${wanted.balanceMicros}`);
    faults.push(...(await billFaults(db, tenantId, wanted)));
  }
  return faults.slice(0, FAULTS_MAX);
}

async function billFaults(db: Kysely<Database>, tenantId: string, { bills }: Expected): Promise<string[]> {
  const rows = await db
    .selectFrom('bills')
    .innerJoin('bill_lines', 'bill_lines.bill_id', 'bills.id')
    .where('tenant_id', '=', tenantId)
    .groupBy(['bills.id', 'hour_from_ms', 'bills.amount_micros'])
    .select((eb) => ['hour_from_ms', 'bills.amount_micros', eb.fn.sum<number>('unit_seconds').as('unit_seconds')])
    .execute();
  const faults = rows.flatMap((row) => {
    const wanted = bills.get(row.hour_from_ms);
    if (wanted?.micros === row.amount_micros && wanted.unitSeconds === row.unit_seconds) return [];
    const is = `${row.amount_micros} micros, ${row.unit_seconds} unit-seconds`;
    const not = wanted === undefined ? 'no bill' : `${wanted.micros} micros, ${wanted.unitSeconds} unit-seconds`;
    return [`${tenantId}, hour from ${new Date(row.hour_from_ms).toISOString()}: ${is}, not ${not}`];
  });
  const billed = new Set(rows.map((row) => row.hour_from_ms));
  if (billed.size !== rows.length) faults.push(`${tenantId}: ${rows.length - billed.size} hours are billed twice`);
  for (const hourMs of bills.keys()) {
    if (!billed.has(hourMs)) faults.push(`${tenantId}, hour from ${new Date(hourMs).toISOString()}: no bill`);
  }
  return faults;
}
