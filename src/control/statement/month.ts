import { z } from 'zod';
import { ACCOUNTS, type Account, POSTING_KINDS, type PostingKind } from '../../core/commerce/ledger.ts';
import type { Row } from '../../store/schema.ts';
import { Correction, correctionView } from '../billing/schemas.ts';
import { readMonth } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { BillingType, Count, EpochMs, Id, Money, money } from '../schemas.ts';
import type { Trx } from '../verb.ts';
import { type GroupSum, groupSums } from './groups.ts';
import { StatedPrice, statedPrices } from './prices.ts';
import { tokenSums } from './tokens.ts';

export const Month = z
  .string()
  .regex(/^\d{4}-\d\d$/, 'a month such as 2026-04')
  .describe("As in 2026-04, of the tenant's zone");

const AccountMonth = z.object({
  account: z.enum(ACCOUNTS),
  opening: Money,
  movements: z.array(z.object({ kind: z.enum(POSTING_KINDS), amount: Money })),
  closing: Money,
});

export const Tokens = { inputTokens: Count, cachedTokens: Count, outputTokens: Count };

export const Statement = z.object({
  tenantId: Id,
  month: z.string(),
  zone: z.string(),
  fromMs: EpochMs,
  toMs: EpochMs,
  accounts: z.array(AccountMonth).describe('opening + movements = closing, of each account'),
  groups: z.array(
    z.object({
      groupId: Id,
      billingType: BillingType,
      unitSeconds: Count.nullable().describe('Postpaid: on the bills of the month'),
      cost: Money.describe('Postpaid: bills issued in the month. Prepaid: earned in the month'),
      prices: z.array(StatedPrice).describe('That it was reckoned by, in order of time'),
    }),
  ),
  tokens: z
    .array(z.object({ endpointId: Id, modelId: z.string(), requests: Count, ...Tokens, cost: Money }))
    .describe('Endpoints that are paid by the token: on the bills of the month'),
  corrections: z.array(Correction).describe('Credit and debit notes of the month, to bills of any month'),
  cost: Money.describe('Of all groups, tokens and notes: what the month added to revenue'),
});

export interface StatedMonth {
  readonly statement: z.output<typeof Statement>;
  readonly tenant: Row<'tenants'>;
  readonly span: Span;
  readonly groups: readonly GroupSum[];
}

/** A month of a tenant, and what it was made from. Throws `invalid_request` on what is no month. */
export async function statementOf(trx: Trx, tenantId: string, name: string): Promise<StatedMonth> {
  const tenant = await requireTenant(trx, tenantId);
  const month = readMonth(name, tenant.zone);
  const accounts = await accountMonths(trx, tenant, month);
  const groups = await groupSums(trx, tenantId, month);
  const prices = await statedPrices(trx, tenant, groups, month);
  const tokens = await tokenSums(trx, tenantId, month);
  const corrections = await correctionsIn(trx, tenantId, month);
  const cost = [
    ...[...groups, ...tokens].map((one) => one.costMicros),
    ...corrections.map((note) => note.amount_micros),
  ];
  const statement = {
    tenantId,
    month: name,
    zone: tenant.zone,
    ...month,
    accounts,
    groups: groups.map(({ costMicros, ...group }) => ({
      ...group,
      cost: money(costMicros, tenant.currency),
      prices: prices.get(group.groupId) ?? [],
    })),
    tokens: tokens.map(({ costMicros, ...one }) => ({ ...one, cost: money(costMicros, tenant.currency) })),
    corrections: corrections.map((row) => correctionView(row, tenant.currency)),
    cost: money(
      cost.reduce((sum, micros) => sum + micros, 0n),
      tenant.currency,
    ),
  };
  return { statement, tenant, span: month, groups };
}

function correctionsIn(trx: Trx, tenantId: string, { fromMs, toMs }: Span): Promise<Row<'bill_corrections'>[]> {
  return trx
    .selectFrom('bill_corrections')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('issued_at_ms', '>=', fromMs)
    .where('issued_at_ms', '<', toMs)
    .orderBy('issued_at_ms')
    .orderBy('id')
    .execute();
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** By when things were booked. */
async function accountMonths(
  trx: Trx,
  tenant: Row<'tenants'>,
  { fromMs, toMs }: Span,
): Promise<z.output<typeof AccountMonth>[]> {
  const sums = () =>
    trx
      .selectFrom('ledger_transactions as t')
      .innerJoin('ledger_entries as e', 'e.transaction_id', 't.id')
      .where('t.tenant_id', '=', tenant.id)
      .select((eb) => ['e.account', 't.kind', eb.fn.sum<bigint>('e.amount_micros').as('sum_micros')])
      .groupBy(['e.account', 't.kind']);
  const before = await sums().where('t.booked_at_ms', '<', fromMs).execute();
  const during = await sums().where('t.booked_at_ms', '>=', fromMs).where('t.booked_at_ms', '<', toMs).execute();
  type Sum = { readonly account: string; readonly kind: PostingKind; readonly sum_micros: bigint };
  const total = (rows: readonly Sum[], account: Account) =>
    rows.filter((row) => row.account === account).reduce((sum, row) => sum + BigInt(row.sum_micros), 0n);
  return ACCOUNTS.map((account) => {
    const opening = total(before, account);
    const moved = during.filter((row) => row.account === account);
    return {
      account,
      opening: money(opening, tenant.currency),
      movements: POSTING_KINDS.flatMap((kind) => {
        const amount = total(
          moved.filter((row) => row.kind === kind),
          account,
        );
        return amount === 0n ? [] : [{ kind, amount: money(amount, tenant.currency) }];
      }),
      closing: money(opening + total(during, account), tenant.currency),
    };
  });
}
