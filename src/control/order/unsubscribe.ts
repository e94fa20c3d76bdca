import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { billingMoment } from '../billing/moment.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, QuoteId } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { cancelPendingOrders } from './cancel.ts';
import { moveGroup } from './move.ts';
import { insertOrder } from './place.ts';
import { askedAtMsOf, checkAgreed, checkQuote, moneyOf, quoteUnsubscribe } from './quote.ts';
import { Placed, placedView } from './schemas.ts';

export const orderUnsubscribe = defineVerb({
  name: 'order.unsubscribe',
  summary:
    'End a group: billing stops now, running streams may finish, all its units are taken back. Prepaid: preview first.',
  access: 'buy',
  route: { method: 'POST', path: '/groups/{groupId}/unsubscribe' },
  input: z.strictObject({ groupId: Id, quoteId: QuoteId.optional() }),
  output: Placed,
  async run({ ctx, input }) {
    const { quoteId } = input;
    const askedAtMs = askedAtMsOf(quoteId, ctx.now());
    const answer = await ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, before.tenant_id);
      const quote = await quoteUnsubscribe(trx, ctx, { tenant, group: before }, askedAtMs);
      checkQuote(quoteId, [quote], askedAtMs);
      checkAgreed(quoteId, quote);
      // A group that was never billed ends now; any other where its bills allow.
      const nowMs = ctx.now();
      const endedAtMs = before.billed_from_ms === null ? nowMs : await billingMoment(trx, before, nowMs);
      const group = await moveGroup(trx, before, ['unsubscribe'], { ended_at_ms: endedAtMs, next_due_ms: null });
      await cancelPendingOrders(trx, ctx, group.id, 'The group was unsubscribed before it was ready.');
      const order = await insertOrder(trx, ctx, group, { quote, done: true });
      const { refundMicros, penaltyMicros } = moneyOf(quote);
      await audit(trx, ctx, {
        verb: 'order.unsubscribe',
        subject: order.id,
        tenantId: group.tenant_id,
        detail: { groupId: group.id, units: before.units, refundMicros, penaltyMicros },
      });
      return placedView(ctx, trx, { order, group });
    });
    ctx.changed();
    return answer;
  },
});
