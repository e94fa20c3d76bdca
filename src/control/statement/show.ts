import { z } from 'zod';
import { Count, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Month, Statement, statementOf, Tokens } from './month.ts';
import { savingsOf } from './savings.ts';

const Saving = z.object({
  endpointId: Id,
  requests: Count.describe('Answered in the month'),
  ...Tokens,
  unitsCost: Money,
  payPerTokenCost: Money.nullable().describe('What those tokens would have cost; null: no token price'),
  saved: Money.nullable().describe('payPerTokenCost − unitsCost; negative where units cost more'),
});

export const statementShow = defineVerb({
  name: 'statement.show',
  summary:
    'A month of a tenant: what moved in wallet, unearned and revenue, what each group and endpoint cost, what units saved.',
  access: 'view_money',
  route: { method: 'GET', path: '/statements/{month}' },
  input: z.strictObject({ month: Month, tenantId: TenantId }),
  output: Statement.extend({
    savings: z.array(Saving).describe('Endpoints with units, against paying the same use by the token'),
  }),
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const { statement, tenant, span, groups } = await ctx.db
      .transaction()
      .execute((trx) => statementOf(trx, tenantId, input.month));
    const { currency } = tenant;
    // Beside the transaction: it may read many receipts.
    const toMs = Math.min(ctx.now() + 1, span.toMs);
    const savings = await savingsOf(ctx.db, tenantId, groups, { ...span, toMs, pricedAtMs: toMs - 1 });
    return {
      ...statement,
      savings: savings.map(({ unitsMicros, tokensMicros, ...saving }) => ({
        ...saving,
        unitsCost: money(unitsMicros, currency),
        payPerTokenCost: tokensMicros === null ? null : money(tokensMicros, currency),
        saved: tokensMicros === null ? null : money(tokensMicros - unitsMicros, currency),
      })),
    };
  },
});
