import { sql } from 'kysely';
import { type BillLine, billLine } from '../../core/commerce/billing.ts';
import { move, type Posting } from '../../core/commerce/ledger.ts';
import type { ClockHour } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import { auditAll } from '../../store/audit.ts';
import { insertAll } from '../../store/bulk.ts';
import { postAll } from '../../store/ledger.ts';
import type { NewRow } from '../../store/schema.ts';
import { takeUsage } from '../../store/token-usage.ts';
import { noteCharges } from '../overdue/overdue.ts';
import type { Trx } from '../verb.ts';
import { noteBills } from './digest.ts';
import { billedToOf, type OpenGroup, openGroups } from './groups.ts';
import type { Standing } from './standing.ts';
import { type TokenCharge, tokenCharges, tokenRow } from './tokens.ts';

const NEW_TOTALS = sql`on conflict (group_id) do update set
  unit_seconds = excluded.unit_seconds, amount_micros = excluded.amount_micros`;

/** A tenant's clock hour whose bill is due. */
export interface DueBill {
  readonly tenant: Standing;
  readonly hour: ClockHour;
  readonly issueMs: number;
}

interface Issued extends DueBill {
  readonly billId: string;
  readonly amountMicros: bigint;
  readonly lines: readonly (BillLine & { readonly groupId: string })[];
  readonly charges: readonly TokenCharge[];
}

interface By {
  now(): number;
  newId(kind: IdKind): string;
}

/** Writes these bills, of different tenants; how many. None for an hour that owes nothing or is billed already. */
export async function issueBills(trx: Trx, by: By, due: readonly DueBill[]): Promise<number> {
  const tenantIds = due.map(({ tenant }) => tenant.id);
  const billedTo = await billedToOf(trx, tenantIds);
  const open = await openGroups(trx, tenantIds);
  const spans = due
    .filter(({ tenant }) => tenant.usedTokens)
    .map(({ tenant, hour }) => ({ tenant, toMs: hour.toMs, lateBeforeMs: hour.fromMs }));
  const charges = await tokenCharges(trx, spans);
  const bills = due.flatMap((one) => {
    const { id } = one.tenant;
    const owed = { groups: open.get(id) ?? [], charges: charges.get(id) ?? [] };
    const bill = billOf(by, one, billedTo.get(id) ?? 0, owed);
    return bill === null ? [] : [bill];
  });
  if (bills.length === 0) return 0;
  const posted = await postAll(trx, by, bills.map(postingOf));
  const rows = bills.map((bill, i) => ({ ...billRow(bill), transaction_id: posted[i]!.transactionId }));
  await insertAll(trx, 'bills', rows);
  await insertAll(trx, 'bill_lines', bills.flatMap(lineRows));
  await insertAll(trx, 'billed_totals', bills.flatMap(totalRows), NEW_TOTALS);
  await insertAll(
    trx,
    'token_lines',
    bills.flatMap(({ billId, charges }) => charges.map((charge) => tokenRow(billId, charge))),
  );
  for (const { tenant, hour, charges } of bills) {
    if (charges.length > 0) await takeUsage(trx, tenant.id, hour.toMs);
  }
  await noteBills(trx, by, bills);
  await noteCharges(
    trx,
    by,
    bills.map(({ tenant, issueMs }) => ({ tenantId: tenant.id, atMs: issueMs })),
  );
  const actor = { kind: 'system', job: 'settle' } as const;
  await auditAll(trx, { ...by, actor }, bills.map(auditEntry));
  return bills.length;
}

function billOf(
  by: By,
  due: DueBill,
  billedToMs: number,
  { groups, charges }: { readonly groups: readonly OpenGroup[]; readonly charges: readonly TokenCharge[] },
): Issued | null {
  if (billedToMs >= due.hour.toMs) return null;
  const lines = groups.flatMap(({ groupId, billed, before }) => {
    const line = billLine(billed, { ...before, billedToMs }, due.hour.toMs, due.tenant.currency);
    return line === null ? [] : [{ groupId, ...line }];
  });
  if (lines.length === 0 && charges.length === 0) return null;
  const amountMicros = [...lines, ...charges].reduce((sum, line) => sum + line.amountMicros, 0n);
  return { ...due, billId: by.newId('bill'), amountMicros, lines, charges };
}

function postingOf({ tenant, hour, issueMs, amountMicros }: Issued): Posting {
  return {
    tenantId: tenant.id,
    kind: 'bill',
    idempotencyKey: `bill:${hour.fromMs}:${tenant.id}`,
    memo: `Model units and tokens, ${new Date(hour.fromMs).toISOString()} to ${new Date(hour.toMs).toISOString()}`,
    bookedAtMs: issueMs,
    entries: move(amountMicros, 'wallet', 'revenue'),
  };
}

function billRow({ billId, tenant, hour, issueMs, amountMicros }: Issued): Omit<NewRow<'bills'>, 'transaction_id'> {
  return {
    id: billId,
    tenant_id: tenant.id,
    hour_from_ms: hour.fromMs,
    hour_to_ms: hour.toMs,
    currency: tenant.currency,
    amount_micros: amountMicros,
    issued_at_ms: issueMs,
  };
}

function lineRows({ billId, lines }: Issued): NewRow<'bill_lines'>[] {
  return lines.map((line) => ({
    bill_id: billId,
    group_id: line.groupId,
    unit_seconds: line.unitSeconds,
    unit_seconds_total: line.total.unitSeconds,
    amount_total_micros: line.total.amountMicros,
    amount_micros: line.amountMicros,
    arithmetic: line.arithmetic,
    price_versions: line.priceVersions.join(' '),
  }));
}

function totalRows({ lines }: Issued): NewRow<'billed_totals'>[] {
  return lines.map(({ groupId, total }) => ({
    group_id: groupId,
    unit_seconds: total.unitSeconds,
    amount_micros: total.amountMicros,
  }));
}

function auditEntry({ billId, tenant, hour, amountMicros }: Issued) {
  return {
    verb: 'bill.issue',
    subject: billId,
    tenantId: tenant.id,
    detail: { hourFromMs: hour.fromMs, amountMicros },
  };
}
