import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { requireAgreement } from '../agreement/agreement.ts';
import { billingMoment } from '../billing/moment.ts';
import { ruleOf } from '../elastic/rule.ts';
import { readyUnits } from '../elastic/units.ts';
import { requireGroup, requireTenant, scopeOf } from '../internal.ts';
import { AgreementVersion, Id, QuoteId, Units } from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { admitPurchase } from './admit.ts';
import { moveGroup } from './move.ts';
import { checkCapacity, checkWallet, insertOrder, insertSegment, segmentPrice } from './place.ts';
import { askedAtMsOf, checkAgreed, checkQuote, moneyOf, type Quote, quoteResize } from './quote.ts';
import { Placed, placedView } from './schemas.ts';

export const orderResize = defineVerb({
  name: 'order.resize',
  summary:
    'Change the units of a group. Fewer: at once. More: billed when all are ready. Prepaid: the rest of the term.',
  access: 'buy',
  route: { method: 'POST', path: '/groups/{groupId}/resize' },
  input: z.strictObject({
    groupId: Id,
    units: Units,
    agreementVersion: AgreementVersion.optional(),
    quoteId: QuoteId.optional(),
  }),
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
  said: { readonly quoteId?: string | undefined; readonly agreementVersion?: string | undefined } = {},
): Promise<{ group: Row<'instance_groups'>; order: Row<'orders'> }> {
  const { before, tenant, units } = wanted;
  const { quoteId, agreementVersion } = said;
  const askedAtMs = askedAtMsOf(quoteId, ctx.now());
  const quote = await quoteResize(trx, ctx, { tenant, group: before, units }, askedAtMs);
  checkQuote(quoteId, [quote], askedAtMs);
  checkAgreed(quoteId, quote);
  const group =
    units > before.units
      ? await grow(trx, ctx, { before, tenant, quote, agreementVersion })
      : await shrink(trx, ctx, { before, quote });
  // Giving back needs none, but what was sent is kept.
  if (units < before.units && agreementVersion !== undefined) {
    await requireAgreement(trx, ctx, tenant.id, agreementVersion);
  }
  const order = await insertOrder(trx, ctx, group, { quote, done: group.state === 'active' });
  return { group, order };
}

interface Change {
  readonly before: Row<'instance_groups'>;
  readonly quote: Quote;
}

/** A purchase: checked like one. The group serves with the units it has until the provisioner has the new ones ready. */
async function grow(
  trx: Trx,
  ctx: Ctx,
  change: Change & { readonly tenant: Row<'tenants'>; readonly agreementVersion: string | undefined },
) {
  const { before, quote, tenant, agreementVersion } = change;
  const { template_id: templateId } = before;
  const unitsAdded = quote.units - before.units;
  // What an elastic rule promises counts already.
  const promised = Math.max(before.units, (await ruleOf(trx, before.id))?.maxUnits ?? 0);
  const beyond = Math.max(0, quote.units - promised);
  await admitPurchase(trx, ctx, { tenantId: tenant.id, templateId, unitsAdded: beyond, agreementVersion });
  await checkCapacity(trx, ctx, templateId, unitsAdded);
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
