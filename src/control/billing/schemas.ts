import { z } from 'zod';
import { billLine } from '../../core/commerce/billing.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { Count, EpochMs, Id, Money, money } from '../schemas.ts';
import { billedToMs, openGroups } from './groups.ts';
import { type TokenCharge, tokenCharges } from './tokens.ts';

export const Bill = z.object({
  billId: Id,
  tenantId: Id,
  hourFromMs: EpochMs,
  hourToMs: EpochMs,
  amount: Money,
  issuedAtMs: EpochMs,
  transactionId: Id,
});

export function billView(row: Row<'bills'>): z.output<typeof Bill> {
  return {
    billId: row.id,
    tenantId: row.tenant_id,
    hourFromMs: row.hour_from_ms,
    hourToMs: row.hour_to_ms,
    amount: money(row.amount_micros, row.currency),
    issuedAtMs: row.issued_at_ms,
    transactionId: row.transaction_id,
  };
}

export const Correction = z.object({
  correctionId: Id,
  billId: Id,
  groupId: Id,
  kind: z.enum(['credit', 'debit']),
  amount: Money.describe('Charged in addition; negative: given back'),
  reason: z.string(),
  issuedAtMs: EpochMs,
  transactionId: Id,
});

export function correctionView(row: Row<'bill_corrections'>, currency: string): z.output<typeof Correction> {
  return {
    correctionId: row.id,
    billId: row.bill_id,
    groupId: row.group_id,
    kind: row.amount_micros < 0n ? 'credit' : 'debit',
    amount: money(row.amount_micros, currency),
    reason: row.reason,
    issuedAtMs: row.issued_at_ms,
    transactionId: row.transaction_id,
  };
}

export const Line = z.object({
  groupId: Id,
  unitSeconds: Count.describe('Units × seconds'),
  amount: Money,
  priceVersions: z.array(z.string()).describe('Of the price book, in order of time'),
  arithmetic: z.string().describe('The sum written out'),
});

export const TokenLine = z.object({
  endpointId: Id,
  modelId: z.string(),
  requests: Count,
  lateRequests: Count.describe('Of these: of hours before, whose receipts came after those hours’ bill'),
  inputTokens: Count.describe('Prompt tokens that were not cached'),
  cachedTokens: Count,
  outputTokens: Count,
  amount: Money,
  arithmetic: z.string().describe('The sum written out'),
});

export interface Unbilled {
  /** End of the last billed hour, 0 before the first. */
  readonly billedToMs: number;
  readonly totalMicros: bigint;
  readonly lines: readonly (Omit<z.output<typeof Line>, 'amount'> & { endpointId: string; amountMicros: bigint })[];
  /** Of endpoints that are paid by the token. */
  readonly charges: readonly TokenCharge[];
}

/** What a tenant's groups and tokens cost from the last bill to `atMs`, computed as the next bill will compute it. */
export async function unbilled(
  db: Db,
  tenant: Pick<Row<'tenants'>, 'id' | 'zone' | 'currency'>,
  atMs: number,
): Promise<Unbilled> {
  const fromMs = await billedToMs(db, tenant.id);
  const groups = (await openGroups(db, [tenant.id])).get(tenant.id) ?? [];
  const lines = groups.flatMap(({ groupId, endpointId, billed, before }) => {
    const line = billLine(billed, { ...before, billedToMs: fromMs }, atMs, tenant.currency);
    if (line === null) return [];
    const { unitSeconds, amountMicros, priceVersions, arithmetic } = line;
    return [{ groupId, endpointId, unitSeconds, amountMicros, priceVersions: [...priceVersions], arithmetic }];
  });
  const span = { tenant, toMs: atMs + 1, lateBeforeMs: fromMs };
  const charges = (await tokenCharges(db, [span])).get(tenant.id) ?? [];
  const totalMicros = [...lines, ...charges].reduce((sum, line) => sum + line.amountMicros, 0n);
  return { billedToMs: fromMs, totalMicros, lines, charges };
}
