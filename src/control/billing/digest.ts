import { formatMicros } from '../../core/commerce/money.ts';
import { monthEndMs, nextMidnightMs } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import { notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import { requireTenant } from '../internal.ts';
import { type DueColumn, eachDue, nextDueMs } from '../jobs/each.ts';
import type { Job } from '../jobs/job.ts';
import { preferencesOf } from '../notice/preferences.ts';
import type { Trx } from '../verb.ts';
import type { DueBill } from './issue.ts';

/**
 * Notices of bills. Bills are hourly, so a notice of each is for who asks for it; by default a tenant is told once a
 * month what was billed for the month's hours. `bill_digests` has a row for each tenant with bills that no notice names.
 */
type Told = Row<'notice_preferences'>['bills'];

/** The last hour's bill is issued by then. */
const LAST_BILL_MS = 2 * 3_600_000;

interface By {
  now(): number;
  newId(kind: IdKind): string;
}

interface IssuedBill extends DueBill {
  readonly billId: string;
  readonly amountMicros: bigint;
}

/** With the bills, in their transaction. A few index look-ups for all of them. */
export async function noteBills(trx: Trx, by: By, bills: readonly IssuedBill[]): Promise<void> {
  const rows = await trx
    .selectFrom('tenants')
    .leftJoin('notice_preferences', 'notice_preferences.tenant_id', 'tenants.id')
    .leftJoin('bill_digests', 'bill_digests.tenant_id', 'tenants.id')
    .where(
      'tenants.id',
      'in',
      bills.map(({ tenant }) => tenant.id),
    )
    .select(['tenants.id', 'bills', 'due_ms'])
    .execute();
  const standing = new Map(rows.map((row) => [row.id, { told: row.bills ?? 'monthly', waits: row.due_ms !== null }]));
  const first: Row<'bill_digests'>[] = [];
  for (const bill of bills) {
    const { told, waits } = standing.get(bill.tenant.id) ?? { told: 'off', waits: false };
    if (told === 'each') await tellOne(trx, by, bill);
    else if (told !== 'off' && !waits) first.push(digestOf(bill.tenant, told, bill.hour.fromMs));
  }
  if (first.length > 0) await trx.insertInto('bill_digests').values(first).execute();
}

function tellOne(trx: Trx, by: By, { billId, tenant, hour, issueMs, amountMicros }: IssuedBill): Promise<void> {
  const amount = { amount: formatMicros(amountMicros), currency: tenant.currency };
  const detail = { billId, fromMs: hour.fromMs, toMs: hour.toMs, bills: 1, amount };
  return notify(trx, by, { tenantId: tenant.id, kind: 'bill_issued', subject: billId, dueAtMs: issueMs, detail });
}

function digestOf(tenant: { id: string; zone: string }, told: Told, fromMs: number): Row<'bill_digests'> {
  const endMs = told === 'monthly' ? monthEndMs(fromMs, tenant.zone) : nextMidnightMs(fromMs, tenant.zone);
  return { tenant_id: tenant.id, from_ms: fromMs, due_ms: endMs + LAST_BILL_MS };
}

/** After the preference changed: what waits is told at the end of the new kind of period. */
export async function rescheduleDigest(trx: Trx, tenant: Row<'tenants'>, told: Told): Promise<void> {
  const waiting = await trx
    .selectFrom('bill_digests')
    .selectAll()
    .where('tenant_id', '=', tenant.id)
    .executeTakeFirst();
  if (waiting === undefined) return;
  const { due_ms } = digestOf(tenant, told, waiting.from_ms);
  await trx.updateTable('bill_digests').set({ due_ms }).where('tenant_id', '=', tenant.id).execute();
}

const DUE: DueColumn = { table: 'bill_digests', id: 'tenant_id', due: 'due_ms' };

/** Tells what was billed for a day or a month, two hours after it ended. After `settle` in the list of jobs. */
export const digestJob: Job = {
  name: 'bill-digest',
  nextDueMs: ({ db }, afterMs) => nextDueMs(db, DUE, afterMs),
  run: (deps) => eachDue(deps, DUE, { handle: (trx, tenantId, dueMs) => digest(trx, deps, tenantId, dueMs) }),
};

async function digest(trx: Trx, by: By, tenantId: string, dueMs: number): Promise<void> {
  const waiting = await trx
    .selectFrom('bill_digests')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('due_ms', '=', dueMs)
    .executeTakeFirst();
  if (waiting === undefined) return;
  const tenant = await requireTenant(trx, tenantId);
  const { bills: told } = await preferencesOf(trx, tenantId);
  const toMs = dueMs - LAST_BILL_MS;
  const bills = trx.selectFrom('bills').where('tenant_id', '=', tenantId).where('hour_from_ms', '>=', waiting.from_ms);
  const sums = await bills
    .where('hour_from_ms', '<', toMs)
    .select((eb) => [eb.fn.countAll<number>().as('n'), eb.fn.sum<bigint>('amount_micros').as('sum_micros')])
    .executeTakeFirstOrThrow();
  if (sums.n > 0 && (told === 'daily' || told === 'monthly')) {
    const amount = { amount: formatMicros(BigInt(sums.sum_micros)), currency: tenant.currency };
    const detail = { fromMs: waiting.from_ms, toMs, bills: sums.n, amount };
    await notify(trx, by, { tenantId, kind: 'bill_issued', subject: tenantId, dueAtMs: dueMs, detail });
  }
  await trx.deleteFrom('bill_digests').where('tenant_id', '=', tenantId).execute();
  const next = await bills
    .where('hour_from_ms', '>=', toMs)
    .select('hour_from_ms')
    .orderBy('hour_from_ms')
    .limit(1)
    .executeTakeFirst();
  if (next === undefined || told === 'each' || told === 'off') return;
  await trx
    .insertInto('bill_digests')
    .values(digestOf(tenant, told, next.hour_from_ms))
    .execute();
}
