import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, Months, QuoteId } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { moveGroup } from './move.ts';
import { checkWallet, insertOrder, termColumns } from './place.ts';
import { askedAtMsOf, checkQuote, moneyOf, type Quote, quoteRenew } from './quote.ts';
import { Placed, placedView } from './schemas.ts';

export const orderRenew = defineVerb({
  name: 'order.renew',
  summary: 'Pay a prepaid group on: months that begin where its paid time ends. Until it is reclaimed.',
  access: 'manage',
  route: { method: 'POST', path: '/groups/{groupId}/renew' },
  input: z.strictObject({ groupId: Id, months: Months.default(1), quoteId: QuoteId.optional() }),
  output: Placed,
  async run({ ctx, input }) {
    const { quoteId, months } = input;
    const askedAtMs = askedAtMsOf(quoteId, ctx.now());
    const answer = await ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, before.tenant_id);
      // What a preview showed a minute before the reclaim is too late a minute after it.
      await quoteRenew(trx, ctx, { tenant, group: before, months }, ctx.now());
      const quote = await quoteRenew(trx, ctx, { tenant, group: before, months }, askedAtMs);
      checkQuote(quoteId, [quote], askedAtMs);
      const { group, order } = await renewGroup(trx, ctx, { tenant, before, quote, nowMs: ctx.now() });
      await audit(trx, ctx, {
        verb: 'order.renew',
        subject: order.id,
        tenantId: group.tenant_id,
        detail: { groupId: group.id, months, amountMicros: order.amount_micros },
      });
      return placedView(ctx, trx, { order, group });
    });
    ctx.changed();
    return answer;
  },
});

/** Carries out a renewal's quote: by hand or by auto-renewal. Throws `payment_required`, and `conflict` when it raced. */
export async function renewGroup(
  trx: Trx,
  by: Pick<Ctx, 'now' | 'newId'>,
  renewal: {
    readonly tenant: Row<'tenants'>;
    readonly before: Row<'instance_groups'>;
    readonly quote: Quote;
    readonly nowMs: number;
  },
): Promise<{ group: Row<'instance_groups'>; order: Row<'orders'> }> {
  const { tenant, before, quote, nowMs } = renewal;
  await checkWallet(trx, tenant, { payMicros: moneyOf(quote).payMicros, nowMs });
  const group = await moveGroup(trx, before, ['renew'], {
    months: (before.months ?? 0) + (quote.months ?? 0),
    ...termColumns(quote.plan.stretch, tenant.zone, nowMs),
    auto_renew_failure: null,
  });
  return { group, order: await insertOrder(trx, by, group, { quote, done: true }) };
}
