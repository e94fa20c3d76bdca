import type { Kysely } from 'kysely';
import { checkLedger } from '../../store/ledger.ts';
import type { Database } from '../../store/schema.ts';
import type { SoakEvent } from './events.ts';
import { expected } from './oracle.ts';
import type { Group, Prepaid, Tenant } from './oracle-state.ts';

const FAULTS_MAX = 20;

/** Compares every account, bill, term and lot with what the events say, to the micro; what differs, for people. */
export async function check(db: Kysely<Database>, events: readonly SoakEvent[]): Promise<string[]> {
  const faults = [...(await checkLedger(db)).problems];
  for (const tenant of expected(events).values()) {
    faults.push(...(await accountFaults(db, tenant)));
    faults.push(...(await billFaults(db, tenant)));
    faults.push(...(await overdueFaults(db, tenant)));
    for (const group of tenant.groups) faults.push(...(await groupFaults(db, group)));
    if (faults.length >= FAULTS_MAX) break;
  }
  return faults.slice(0, FAULTS_MAX);
}

async function accountFaults(db: Kysely<Database>, tenant: Tenant): Promise<string[]> {
  const lots = tenant.groups.flatMap((group) => group.prepaid?.lots ?? []);
  const unearned = lots.reduce((sum, lot) => sum + lot.paidMicros - lot.earnedMicros, 0n);
  const { walletMicros: wallet, paidInMicros } = tenant;
  const wanted = { wallet, cash: -paidInMicros, unearned, revenue: paidInMicros - wallet - unearned };
  const rows = await db
    .selectFrom('ledger_entries')
    .select(['account', 'amount_micros'])
    .where('tenant_id', '=', tenant.id)
    .execute();
  return Object.entries(wanted).flatMap(([account, micros]) => {
    const sum = rows.reduce((total, row) => total + (row.account === account ? row.amount_micros : 0n), 0n);
    return sum === micros ? [] : [`${tenant.id}: ${account} ${sum}, not ${micros}`];
  });
}

async function billFaults(db: Kysely<Database>, { id, bills }: Tenant): Promise<string[]> {
  const rows = await db
    .selectFrom('bills')
    .innerJoin('bill_lines', 'bill_lines.bill_id', 'bills.id')
    .where('tenant_id', '=', id)
    .groupBy(['bills.id', 'hour_from_ms', 'bills.amount_micros'])
    .select((eb) => ['hour_from_ms', 'bills.amount_micros', eb.fn.sum<number>('unit_seconds').as('unit_seconds')])
    .execute();
  const faults = rows.flatMap((row) => {
    const wanted = bills.get(row.hour_from_ms);
    if (wanted?.micros === row.amount_micros && wanted.unitSeconds === row.unit_seconds) return [];
    const is = `${row.amount_micros} micros, ${row.unit_seconds} unit-seconds`;
    const not = wanted === undefined ? 'no bill' : `${wanted.micros} micros, ${wanted.unitSeconds} unit-seconds`;
    return [`${id}, hour from ${new Date(row.hour_from_ms).toISOString()}: ${is}, not ${not}`];
  });
  const billed = new Set(rows.map((row) => row.hour_from_ms));
  if (billed.size !== rows.length) faults.push(`${id}: ${rows.length - billed.size} hours are billed twice`);
  for (const hourMs of bills.keys()) {
    if (!billed.has(hourMs)) faults.push(`${id}, hour from ${new Date(hourMs).toISOString()}: no bill`);
  }
  return faults;
}

async function overdueFaults(db: Kysely<Database>, { id, overdues }: Tenant): Promise<string[]> {
  const rows = await db
    .selectFrom('overdues')
    .select(['since_ms', 'outcome'])
    .where('tenant_id', '=', id)
    .orderBy('since_ms')
    .execute();
  const is = rows.map((row) => `${row.since_ms} ${row.outcome}`).join(', ');
  const not = overdues
    .toSorted((a, b) => a.sinceMs - b.sinceMs)
    .map(({ sinceMs, outcome }) => `${sinceMs} ${outcome}`)
    .join(', ');
  return is === not ? [] : [`${id}: overdue ${is}, not ${not}`];
}

async function groupFaults(db: Kysely<Database>, group: Group): Promise<string[]> {
  const row = await db.selectFrom('instance_groups').selectAll().where('id', '=', group.id).executeTakeFirstOrThrow();
  const live = ['provisioning', 'active', 'resizing'].includes(row.state);
  const is = [row.units, live ? row.state : 'ended', row.billed_from_ms];
  const not = [group.units, group.state, group.fromMs];
  if (live) {
    is.push(row.months, row.expires_at_ms, row.auto_renew_months);
    not.push(...(group.prepaid === null ? [null, null, null] : datesOf(group.prepaid)));
  }
  const faults = String(is) === String(not) ? [] : [`${group.id}: ${is}, not ${not}`];
  return group.prepaid === null ? faults : [...faults, ...(await lotFaults(db, group.id, group.prepaid))];
}

function datesOf({ months, expiresMs, autoRenewMonths }: Prepaid) {
  return [months, expiresMs, autoRenewMonths];
}

/** Open lots, and what was paid and paid back in all. */
async function lotFaults(db: Kysely<Database>, groupId: string, prepaid: Prepaid): Promise<string[]> {
  const rows = await db
    .selectFrom('prepaid_lots')
    .leftJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .select(['from_ms', 'to_ms', 'prepaid_lots.units', 'paid_micros', 'lot_id', 'refund_micros', 'carried_micros'])
    .where('group_id', '=', groupId)
    .execute();
  const open = rows.filter((row) => row.lot_id === null);
  const carried = rows.reduce((sum, row) => sum + (row.carried_micros ?? 0n), 0n);
  const is = [
    ...open.map((row) => `${row.from_ms}–${row.to_ms} ${row.units} units ${row.paid_micros}`).sort(),
    `paid ${rows.reduce((sum, row) => sum + row.paid_micros, 0n) - carried}`,
    `paid back ${rows.reduce((sum, row) => sum + (row.refund_micros ?? 0n), 0n)}`,
  ].join('; ');
  const not = [
    ...prepaid.lots.map((lot) => `${lot.fromMs}–${lot.toMs} ${lot.units} units ${lot.paidMicros}`).sort(),
    `paid ${prepaid.paidMicros}`,
    `paid back ${prepaid.refundedMicros}`,
  ].join('; ');
  return is === not ? [] : [`${groupId}: lots ${is}, not ${not}`];
}
