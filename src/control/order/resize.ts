import { z } from 'zod';
import { groupAfter } from '../../core/commerce/group.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import { invalidField } from '../input.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, Units } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { moveGroup } from './move.ts';
import { checkCapacity, checkWallet, insertOrder, insertSegment, latestSegment, priceOf } from './place.ts';
import { Placed, placedView } from './schemas.ts';

export const orderResize = defineVerb({
  name: 'order.resize',
  summary: 'Change the units of a group. Fewer: at once. More: billed when all are ready.',
  access: 'manage',
  route: { method: 'POST', path: '/groups/{groupId}/resize' },
  input: z.strictObject({ groupId: Id, units: Units }),
  output: Placed,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      if (input.units === before.units) throw invalidField('units', `the group has ${before.units} already`);
      const group =
        input.units > before.units
          ? await grow(trx, ctx, before, input.units)
          : await shrink(trx, ctx, before, input.units);
      const done = group.state === 'active';
      const order = await insertOrder(trx, ctx, group, { kind: 'resize', units: input.units, done });
      await audit(trx, ctx, {
        verb: 'order.resize',
        subject: order.id,
        tenantId: group.tenant_id,
        detail: { groupId: group.id, unitsBefore: before.units, units: input.units },
      });
      return placedView(ctx, trx, { order, group });
    });
    ctx.changed();
    return answer;
  },
});

/** A purchase: checked like one. The group serves with the units it has until the provisioner has the new ones ready. */
async function grow(trx: Trx, ctx: Ctx, before: Row<'instance_groups'>, units: number) {
  groupAfter(before.state, 'resize');
  priceOf(ctx.catalog, before.template_id);
  await checkCapacity(trx, ctx.fleet, before.template_id, units - before.units);
  const group = await moveGroup(trx, before, ['resize'], { units });
  await checkWallet(trx, await requireTenant(trx, before.tenant_id), ctx.now());
  return group;
}

/** Billing falls now, at the price the group has; the provisioner drains the units beyond the new number. */
async function shrink(trx: Trx, ctx: Ctx, before: Row<'instance_groups'>, units: number) {
  const group = await moveGroup(trx, before, ['resize', 'resized'], { units });
  const latest = await latestSegment(trx, before.id);
  await insertSegment(trx, ctx, {
    groupId: before.id,
    fromMs: await billingMoment(trx, group, ctx.now()),
    units,
    price: { hourlyPriceMicros: latest.hourly_price_micros, version: latest.price_version },
  });
  return group;
}
