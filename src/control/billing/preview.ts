import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { EpochMs, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Line, TokenLine, unbilled } from './schemas.ts';

export const billPreview = defineVerb({
  name: 'bill.preview',
  summary: 'What was used since the last bill, up to now, with its arithmetic.',
  access: 'view_money',
  route: { method: 'GET', path: '/bill-preview' },
  input: z.strictObject({ tenantId: TenantId }),
  output: z.object({
    tenantId: Id,
    billedToMs: EpochMs.nullable().describe('End of the last billed hour; null before the first'),
    atMs: EpochMs,
    lines: z.array(Line.extend({ endpointId: Id })).describe('Of groups'),
    tokenLines: z.array(TokenLine).describe('Of endpoints that are paid by the token'),
    total: Money,
  }),
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    // One transaction, so that no bill is issued between the reads.
    return ctx.db.transaction().execute(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const { currency } = tenant;
      const atMs = ctx.now();
      const { billedToMs, lines, charges, totalMicros } = await unbilled(trx, tenant, atMs);
      return {
        tenantId,
        billedToMs: billedToMs === 0 ? null : billedToMs,
        atMs,
        lines: lines.map(({ amountMicros, ...line }) => ({ ...line, amount: money(amountMicros, currency) })),
        tokenLines: charges.map((charge) => ({ ...charge, amount: money(charge.amountMicros, currency) })),
        total: money(totalMicros, currency),
      };
    });
  },
});
