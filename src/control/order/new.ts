import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { checkFirstRule, FirstRule } from '../elastic/first.ts';
import { invalidField } from '../input.ts';
import { holdEndpoint, requireEndpoint, requireTenant, scopeOf } from '../internal.ts';
import {
  AgreementVersion,
  AutoRenewMonths,
  BillingType,
  FirstUnits,
  Id,
  Months,
  QuoteId,
  TenantFilter,
} from '../schemas.ts';
import { type Ctx, defineVerb, type Trx } from '../verb.ts';
import { checkSellable, placeNewOrder } from './place.ts';
import { askedAtMsOf, checkQuote, quoteNew } from './quote.ts';
import { Placed, placedView } from './schemas.ts';

export const NewOrderInput = {
  endpointId: Id.describe('Id or name'),
  tenantId: TenantFilter,
  servedModelId: Id.optional().describe('Needed when the endpoint serves several'),
  units: FirstUnits,
  billingType: BillingType.default('postpaid'),
  months: Months.optional().describe('Prepaid: for how many months'),
  elastic: FirstRule.optional(),
};

export const orderNew = defineVerb({
  name: 'order.new',
  summary: 'Order another group of units for a model that an endpoint serves.',
  access: 'buy',
  route: { method: 'POST', path: '/endpoints/{endpointId}/orders' },
  input: z.strictObject({
    ...NewOrderInput,
    autoRenewMonths: AutoRenewMonths.optional(),
    agreementVersion: AgreementVersion.optional(),
    quoteId: QuoteId.optional(),
  }),
  output: Placed,
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const askedAtMs = askedAtMsOf(input.quoteId, ctx.now());
    checkAutoRenew(input);
    checkFirstRule(input);
    const answer = await ctx.transaction(async (trx) => {
      const { tenant, served } = await orderedModel(trx, ctx, scope, input);
      await holdEndpoint(trx, served.endpoint_id);
      const quote = await quoteNew(trx, ctx, { ...input, tenant, templateId: served.template_id }, askedAtMs);
      checkQuote(input.quoteId, [quote], askedAtMs);
      const placed = await placeNewOrder(trx, ctx, { ...input, tenant, served }, quote);
      const { units, billingType, months, elastic } = input;
      await audit(trx, ctx, {
        verb: 'order.new',
        subject: placed.order.id,
        tenantId: tenant.id,
        detail: {
          groupId: placed.group.id,
          endpointId: served.endpoint_id,
          servedModelId: served.id,
          units,
          billingType,
          months,
          elastic,
          amountMicros: placed.order.amount_micros,
        },
      });
      return placedView(ctx, trx, placed);
    });
    ctx.changed();
    return answer;
  },
});

/** The model that is ordered for, and whose it is. */
export async function orderedModel(
  trx: Trx,
  ctx: Pick<Ctx, 'catalog'>,
  scope: string | null,
  input: { readonly endpointId: string; readonly servedModelId?: string | undefined },
) {
  const endpoint = await requireEndpoint(trx, scope, input.endpointId);
  if (endpoint.access_mode === 'pay_per_token') {
    throw new CubitError(
      'conflict',
      `${endpoint.name} is paid by the token: it has no units. Make another endpoint for them.`,
    );
  }
  const served = await chooseServed(trx, endpoint.id, input.servedModelId);
  const template = ctx.catalog.templates.get(served.template_id);
  if (template === undefined) throw invalidField('servedModelId', `template ${served.template_id} is gone`);
  checkSellable(template);
  return { tenant: await requireTenant(trx, endpoint.tenant_id), served };
}

/** Throws `invalid_request`: what is paid by the second has nothing to renew. */
export function checkAutoRenew(
  input: { readonly billingType: string; readonly autoRenewMonths?: number | undefined },
  field = 'autoRenewMonths',
): void {
  if (input.billingType === 'prepaid' || input.autoRenewMonths === undefined) return;
  throw invalidField(field, 'only prepaid units are renewed');
}

async function chooseServed(trx: Trx, endpointId: string, asked: string | undefined): Promise<Row<'served_models'>> {
  const rows = await trx.selectFrom('served_models').selectAll().where('endpoint_id', '=', endpointId).execute();
  const chosen = asked === undefined && rows.length === 1 ? rows[0] : rows.find((row) => row.id === asked);
  if (chosen !== undefined) return chosen;
  const names = rows.map((row) => `${row.id} (${row.model_id})`).join(', ');
  throw invalidField('servedModelId', `name one that the endpoint serves: ${names}`);
}
