import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { billingMoment } from '../billing/moment.ts';
import { requireGroup, scopeOf } from '../internal.ts';
import { Id } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { moveGroup, moveOrder } from './move.ts';
import { insertOrder } from './place.ts';
import { Placed, placedView } from './schemas.ts';

export const orderUnsubscribe = defineVerb({
  name: 'order.unsubscribe',
  summary: 'End a group: billing stops now, running streams may finish, all its units are taken back.',
  access: 'manage',
  route: { method: 'POST', path: '/groups/{groupId}/unsubscribe' },
  input: z.strictObject({ groupId: Id }),
  output: Placed,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      // A group that was never billed ends now; any other where its bills allow.
      const nowMs = ctx.now();
      const endedAtMs = before.billed_from_ms === null ? nowMs : await billingMoment(trx, before, nowMs);
      const group = await moveGroup(trx, before, ['unsubscribe'], { ended_at_ms: endedAtMs });
      await cancelPendingOrders(trx, ctx, group.id);
      const order = await insertOrder(trx, ctx, group, { kind: 'unsubscribe', units: 0, done: true });
      await audit(trx, ctx, {
        verb: 'order.unsubscribe',
        subject: order.id,
        tenantId: group.tenant_id,
        detail: { groupId: group.id, units: before.units },
      });
      return placedView(ctx, trx, { order, group });
    });
    ctx.changed();
    return answer;
  },
});

/** A group that ends before its units were ready needs them no more; nothing was billed for them. */
async function cancelPendingOrders(trx: Trx, ctx: Ctx, groupId: string): Promise<void> {
  const pending = await trx
    .selectFrom('orders')
    .selectAll()
    .where('group_id', '=', groupId)
    .where('state', '=', 'provisioning')
    .execute();
  for (const order of pending) {
    await moveOrder(trx, order, 'cancel', {
      nowMs: ctx.now(),
      failure: 'The group was unsubscribed before it was ready.',
    });
  }
}
