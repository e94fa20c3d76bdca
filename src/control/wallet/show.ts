import { z } from 'zod';
import { OVERDUE_MS } from '../../core/commerce/overdue.ts';
import { balanceMicros } from '../../store/ledger.ts';
import { unbilled } from '../billing/schemas.ts';
import { requireTenant } from '../internal.ts';
import { openOverdue } from '../overdue/overdue.ts';
import { EpochMs, Id, Money, money, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';

export const walletShow = defineVerb({
  name: 'wallet.show',
  summary: 'The balance of a wallet, and what was used but not billed yet.',
  access: 'view_money',
  route: { method: 'GET', path: '/wallet' },
  input: z.strictObject({ tenantId: TenantId }),
  output: z.object({
    tenantId: Id,
    balance: Money.describe('Top-ups less bills'),
    unbilled: Money.describe('Used since the last bill'),
    available: Money.describe('balance − unbilled'),
    overdue: z
      .object({ sinceMs: EpochMs, reclaimAtMs: EpochMs })
      .nullable()
      .describe('Below zero since; postpaid units are taken back then unless it is topped up before'),
    atMs: EpochMs,
  }),
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    // One transaction, so that no bill is issued between the reads.
    return ctx.db.transaction().execute(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const { currency } = tenant;
      const atMs = ctx.now();
      const balance = await balanceMicros(trx, tenantId);
      const { totalMicros } = await unbilled(trx, tenant, atMs);
      const overdue = await openOverdue(trx, tenantId);
      return {
        tenantId,
        balance: money(balance, currency),
        unbilled: money(totalMicros, currency),
        available: money(balance - totalMicros, currency),
        overdue:
          overdue === undefined ? null : { sinceMs: overdue.since_ms, reclaimAtMs: overdue.since_ms + OVERDUE_MS },
        atMs,
      };
    });
  },
});
