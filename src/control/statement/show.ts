import { z } from 'zod';
import { ACCOUNTS, type Account, POSTING_KINDS, type PostingKind } from '../../core/commerce/ledger.ts';
import { monthOf } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { BillingType, Count, EpochMs, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, type Trx, tenantOf } from '../verb.ts';
import { groupSums } from './groups.ts';
import { StatedPrice, statedPrices } from './prices.ts';
import { savingsOf } from './savings.ts';
import { tokenSums } from './tokens.ts';

const AccountMonth = z.object({
  account: z.enum(ACCOUNTS),
  opening: Money,
  movements: z.array(z.object({ kind: z.enum(POSTING_KINDS), amount: Money })),
  closing: Money,
});

const Tokens = { inputTokens: Count, cachedTokens: Count, outputTokens: Count };

export const statementShow = defineVerb({
  name: 'statement.show',
  summary:
    'A month of a tenant: what moved in wallet, unearned and revenue, what each group and endpoint cost, what units saved.',
  access: 'view_money',
  route: { method: 'GET', path: '/statements/{month}' },
  input: z.strictObject({
    month: z
      .string()
      .regex(/^\d{4}-\d\d$/, 'a month such as 2026-04')
      .describe("As in 2026-04, of the tenant's zone"),
    tenantId: TenantId,
  }),
  output: z.object({
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
    cost: Money.describe('Of all groups and tokens: what the month added to revenue'),
    savings: z
      .array(
        z.object({
          endpointId: Id,
          requests: Count.describe('Answered in the month'),
          ...Tokens,
          unitsCost: Money,
          payPerTokenCost: Money.nullable().describe('What those tokens would have cost; null: no token price'),
          saved: Money.nullable().describe('payPerTokenCost − unitsCost; negative where units cost more'),
        }),
      )
      .describe('Endpoints with units, against paying the same use by the token'),
  }),
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const statement = await ctx.db.transaction().execute(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const month = readMonth(input.month, tenant.zone);
      const accounts = await accountMonths(trx, tenant, month);
      const groups = await groupSums(trx, tenantId, month);
      const prices = await statedPrices(trx, tenant, groups, month);
      return { tenant, month, accounts, groups, prices, tokens: await tokenSums(trx, tenantId, month) };
    });
    const { tenant, month, accounts, groups, prices, tokens } = statement;
    // Beside the transaction: it may read many receipts.
    const toMs = Math.min(ctx.now() + 1, month.toMs);
    const savings = await savingsOf(ctx.db, tenantId, groups, { ...month, toMs, pricedAtMs: toMs - 1 });
    const inMoney = (micros: bigint) => money(micros, tenant.currency);
    const cost = [...groups, ...tokens].reduce((sum, one) => sum + one.costMicros, 0n);
    return {
      tenantId,
      month: input.month,
      zone: tenant.zone,
      ...month,
      accounts,
      groups: groups.map(({ costMicros, ...group }) => ({
        ...group,
        cost: inMoney(costMicros),
        prices: prices.get(group.groupId) ?? [],
      })),
      tokens: tokens.map(({ costMicros, ...one }) => ({ ...one, cost: inMoney(costMicros) })),
      cost: inMoney(cost),
      savings: savings.map(({ unitsMicros, tokensMicros, ...saving }) => ({
        ...saving,
        unitsCost: inMoney(unitsMicros),
        payPerTokenCost: tokensMicros === null ? null : inMoney(tokensMicros),
        saved: tokensMicros === null ? null : inMoney(tokensMicros - unitsMicros),
      })),
    };
  },
});

function readMonth(month: string, zone: string) {
  try {
    return monthOf(month, zone);
  } catch {
    throw invalidField('month', `${month} is no month`);
  }
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
