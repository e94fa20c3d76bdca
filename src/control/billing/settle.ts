import { setImmediate as nextTick } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { billLine, ISSUE_DELAY_MS, issuedAtMs } from '../../core/commerce/billing.ts';
import { move } from '../../core/commerce/ledger.ts';
import { type ClockHour, clockHourOf } from '../../core/commerce/term.ts';
import type { IdKind } from '../../core/ids.ts';
import { audit } from '../../store/audit.ts';
import { post } from '../../store/ledger.ts';
import type { Database, NewRow } from '../../store/schema.ts';
import { noteCharge } from '../overdue/overdue.ts';
import type { Trx } from '../verb.ts';
import { billedToMs, nextBillableMs, openGroups, type Standing, standings } from './groups.ts';

const LINES_PER_INSERT = 500;
const BILLS_MAX = 1000;

export interface SettleDeps {
  readonly db: Kysely<Database>;
  now(): number;
  newId(kind: IdKind): string;
  /** Bills that are due at or before this instant; now unless told otherwise. */
  readonly asOfMs?: number;
  /** From an hour's end to its bill; 1 h unless told otherwise. */
  readonly issueDelayMs?: number;
  /** Bills of a tenant that are due later than this wait: something else comes first. The runner keeps that order itself. */
  holdMs?(tenantId: string): Promise<number | null>;
  /** Bills of one run at most. */
  readonly billsMax?: number;
  readonly signal?: AbortSignal;
}

export interface Settled {
  /** Bills written by this run. */
  readonly bills: number;
  /** True when the run stopped at its limit: more is due. */
  readonly more: boolean;
}

export interface SettledAll extends Settled {
  /** Tenants whose bills could not be written; they wait for the next run and hold nobody up. */
  readonly failures: readonly { readonly tenantId: string; readonly error: unknown }[];
}

/**
 * Issues every bill that is due: for each tenant and each clock hour of its zone, oldest first, one transaction that
 * holds the bill, its lines, the charge wallet → revenue and the audit row. What is billed is the difference between the
 * cumulative count at the hour's end and the last one on a bill, so it makes no difference how often, how late or how
 * many at a time this runs, nor where it is killed. A run costs a few index look-ups per tenant when nothing is due.
 */
export async function settle(deps: SettleDeps): Promise<SettledAll> {
  const billsMax = deps.billsMax ?? BILLS_MAX;
  const failures: { tenantId: string; error: unknown }[] = [];
  let bills = 0;
  for await (const tenant of standings(deps.db)) {
    try {
      const settled = await settleTenant(deps, tenant, billsMax - bills);
      bills += settled.bills;
      if (settled.more) return { bills, more: true, failures };
    } catch (error) {
      failures.push({ tenantId: tenant.id, error });
    }
  }
  return { bills, more: false, failures };
}

async function settleTenant(deps: SettleDeps, tenant: Standing, billsMax: number): Promise<Settled> {
  let bills = 0;
  let startMs = tenant.nextBillableMs;
  while (startMs !== null) {
    const hour = clockHourOf(startMs, tenant.zone);
    const issueMs = issuedAtMs(hour.toMs, deps.issueDelayMs ?? ISSUE_DELAY_MS);
    if (issueMs > (deps.asOfMs ?? deps.now())) return { bills, more: false };
    const holdMs = (await deps.holdMs?.(tenant.id)) ?? Number.POSITIVE_INFINITY;
    if (issueMs > holdMs) return { bills, more: false };
    if (bills >= billsMax || deps.signal?.aborted) return { bills, more: true };
    const issued = await deps.db.transaction().execute((trx) => issueBill(trx, deps, tenant, hour, issueMs));
    if (issued) bills += 1;
    startMs = await nextBillableMs(deps.db, tenant.id, hour.toMs);
    await nextTick(); // requests that wait for the event loop come first
  }
  return { bills, more: false };
}

/** When the next bill of all tenants is due that is due later than `afterMs`, or null. */
export async function nextIssueMs(
  deps: Pick<SettleDeps, 'db' | 'issueDelayMs'>,
  afterMs: number,
): Promise<number | null> {
  const delayMs = deps.issueDelayMs ?? ISSUE_DELAY_MS;
  let nextMs: number | null = null;
  for await (const tenant of standings(deps.db)) {
    const issueMs = await issueMsAfter(deps.db, tenant, { delayMs, afterMs });
    if (issueMs !== null && (nextMs === null || issueMs < nextMs)) nextMs = issueMs;
  }
  return nextMs;
}

async function issueMsAfter(
  db: Kysely<Database>,
  tenant: Standing,
  { delayMs, afterMs }: { delayMs: number; afterMs: number },
): Promise<number | null> {
  const startMs = tenant.nextBillableMs;
  if (startMs === null) return null;
  const firstMs = issueOf(startMs, tenant.zone, delayMs);
  if (firstMs > afterMs) return firstMs;
  // Its bill was due by then and is not there, for nothing was owed or it cannot be written: look beyond.
  const laterMs = await nextBillableMs(db, tenant.id, afterMs - delayMs);
  const nextMs = laterMs === null ? null : issueOf(laterMs, tenant.zone, delayMs);
  return nextMs !== null && nextMs > afterMs ? nextMs : null;
}

/** A zone that nobody knows makes its bill due at once: the run says what is wrong. */
function issueOf(startMs: number, zone: string, delayMs: number): number {
  try {
    return issuedAtMs(clockHourOf(startMs, zone).toMs, delayMs);
  } catch {
    return startMs;
  }
}

/** False when nothing is owed for the hour, or its bill is there already. */
async function issueBill(trx: Trx, deps: SettleDeps, tenant: Standing, hour: ClockHour, issueMs: number) {
  const fromMs = await billedToMs(trx, tenant.id);
  if (fromMs >= hour.toMs) return false;
  const groups = await openGroups(trx, tenant.id, { fromMs, toMs: hour.toMs });
  const owed = groups.flatMap((group) => {
    const line = billLine(group.billed, { ...group.before, billedToMs: fromMs }, hour.toMs, tenant.currency);
    return line === null ? [] : [{ groupId: group.groupId, ...line }];
  });
  if (owed.length === 0) return false;
  const amountMicros = owed.reduce((sum, line) => sum + line.amountMicros, 0n);
  const { transactionId } = await post(trx, deps, {
    tenantId: tenant.id,
    kind: 'bill',
    idempotencyKey: `bill:${tenant.id}:${hour.fromMs}`,
    memo: `Model units, ${new Date(hour.fromMs).toISOString()} to ${new Date(hour.toMs).toISOString()}`,
    bookedAtMs: issueMs,
    entries: move(amountMicros, 'wallet', 'revenue'),
  });
  const billId = deps.newId('bill');
  const bill: NewRow<'bills'> = {
    id: billId,
    tenant_id: tenant.id,
    hour_from_ms: hour.fromMs,
    hour_to_ms: hour.toMs,
    currency: tenant.currency,
    amount_micros: amountMicros,
    issued_at_ms: issueMs,
    transaction_id: transactionId,
  };
  await trx.insertInto('bills').values(bill).execute();
  const lines = owed.map((line) => ({
    bill_id: billId,
    group_id: line.groupId,
    unit_seconds: line.unitSeconds,
    unit_seconds_total: line.total.unitSeconds,
    amount_total_micros: line.total.amountMicros,
    amount_micros: line.amountMicros,
    arithmetic: line.arithmetic,
  }));
  await insertLines(trx, lines);
  await noteCharge(trx, deps, tenant.id, issueMs);
  const actor = { kind: 'system', job: 'settle' } as const;
  await audit(
    trx,
    { ...deps, actor },
    { verb: 'bill.issue', subject: billId, tenantId: tenant.id, detail: { hourFromMs: hour.fromMs, amountMicros } },
  );
  return true;
}

async function insertLines(trx: Trx, lines: readonly NewRow<'bill_lines'>[]): Promise<void> {
  for (let i = 0; i < lines.length; i += LINES_PER_INSERT) {
    await trx
      .insertInto('bill_lines')
      .values(lines.slice(i, i + LINES_PER_INSERT))
      .execute();
  }
}
