import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import { readyUnits } from '../elastic/units.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { Id, QuoteId, Units } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { moveGroup } from './move.ts';
import { checkCapacity, checkWallet, insertOrder, insertSegment, segmentPrice } from './place.ts';
import { askedAtMsOf, checkAgreed, checkQuote, moneyOf, type Quote, quoteResize } from './quote.ts';
import { Placed, placedView } from './schemas.ts';

export const orderResize = defineVerb({
  name: 'order.resize',
  summary:
    'Change the units of a group. Fewer: at once. More: billed when all are ready. Prepaid: the rest of the term.',
  access: 'manage',
  route: { method: 'POST', path: '/groups/{groupId}/resize' },
  input: z.strictObject({ groupId: Id, units: Units, quoteId: QuoteId.optional() }),
  output: Placed,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const before = await requireGroup(trx, scopeOf(ctx), input.groupId);
      const tenant = await requireTenant(trx, before.tenant_id);
      const { group, order } = await resizeGroup(trx, ctx, { before, tenant, units: input.units }, input);
      await audit(trx, ctx, {
        verb: 'order.resize',
        subject: order.id,
        tenantId: group.tenant_id,
        detail: {
          groupId: group.id,
          unitsBefore: before.units,
          units: input.units,
          amountMicros: order.amount_micros,
        },
      });
      return placedView(ctx, trx, { order, group });
    });
    ctx.changed();
    return answer;
  },
});

/** Changes a group's units by an order; as the quote said, when one is named. */
export async function resizeGroup(
  trx: Trx,
  ctx: Ctx,
  wanted: { readonly before: Row<'instance_groups'>; readonly tenant: Row<'tenants'>; readonly units: number },
  { quoteId }: { readonly quoteId?: string | undefined } = {},
): Promise<{ group: Row<'instance_groups'>; order: Row<'orders'> }> {
  const { before, tenant, units } = wanted;
  const askedAtMs = askedAtMsOf(quoteId, ctx.now());
  const quote = await quoteResize(trx, ctx, { tenant, group: before, units }, askedAtMs);
  checkQuote(quoteId, [quote], askedAtMs);
  checkAgreed(quoteId, quote);
  const group =
    units > before.units ? await grow(trx, ctx, { before, tenant, quote }) : await shrink(trx, ctx, { before, quote });
  const order = await insertOrder(trx, ctx, group, { quote, done: group.state === 'active' });
  return { group, order };
}

interface Change {
  readonly before: Row<'instance_groups'>;
  readonly quote: Quote;
}

/** A purchase: checked like one. The group serves with the units it has until the provisioner has the new ones ready. */
async function grow(trx: Trx, ctx: Ctx, { before, quote, tenant }: Change & { readonly tenant: Row<'tenants'> }) {
  await checkCapacity(trx, ctx, before.template_id, quote.units - before.units);
  const group = await moveGroup(trx, before, ['resize'], { units: quote.units });
  await checkWallet(trx, tenant, { payMicros: moneyOf(quote).payMicros, nowMs: ctx.now() });
  return group;
}

/** Billing falls now, at the price the group has; the provisioner drains the units beyond the new number. */
async function shrink(trx: Trx, ctx: Ctx, { before, quote }: Change) {
  const { units, price, atMs } = quote;
  const group = await moveGroup(trx, before, ['resize', 'resized'], { units });
  const fromMs = group.billing_type === 'prepaid' ? atMs : await billingMoment(trx, group, ctx.now());
  const billed = units + (await readyUnits(trx, before.id));
  await insertSegment(trx, ctx, { groupId: before.id, fromMs, units: billed, price: segmentPrice(group, price) });
  return group;
}
