import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { holdEndpoint, requireEndpoint, requireTenant, scopeOf } from '../internal.ts';
import { BillingType, Id, TenantFilter, Units } from '../schemas.ts';
import { defineVerb, type Trx } from '../verb.ts';
import { checkWallet, placeNewOrder } from './place.ts';
import { Placed, placedView } from './schemas.ts';

export const orderNew = defineVerb({
  name: 'order.new',
  summary: 'Order another group of units for a model that an endpoint serves.',
  access: 'manage',
  route: { method: 'POST', path: '/endpoints/{endpointId}/orders' },
  input: z.strictObject({
    endpointId: Id.describe('Id or name'),
    tenantId: TenantFilter,
    servedModelId: Id.optional().describe('Needed when the endpoint serves several'),
    units: Units,
    billingType: BillingType.default('postpaid'),
  }),
  output: Placed,
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scope, input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      const served = await chooseServed(trx, endpoint.id, input.servedModelId);
      const template = ctx.catalog.templates.get(served.template_id);
      if (template === undefined) throw invalidField('servedModelId', `template ${served.template_id} is gone`);
      const tenant = await requireTenant(trx, endpoint.tenant_id);
      const { units, billingType } = input;
      const placed = await placeNewOrder(trx, ctx, { tenant, served, template, units, billingType });
      await checkWallet(trx, tenant, ctx.now());
      await audit(trx, ctx, {
        verb: 'order.new',
        subject: placed.order.id,
        tenantId: tenant.id,
        detail: { groupId: placed.group.id, endpointId: endpoint.id, servedModelId: served.id, units },
      });
      return placedView(ctx, trx, placed);
    });
    ctx.changed();
    return answer;
  },
});

async function chooseServed(trx: Trx, endpointId: string, asked: string | undefined): Promise<Row<'served_models'>> {
  const rows = await trx.selectFrom('served_models').selectAll().where('endpoint_id', '=', endpointId).execute();
  const chosen = asked === undefined && rows.length === 1 ? rows[0] : rows.find((row) => row.id === asked);
  if (chosen !== undefined) return chosen;
  const names = rows.map((row) => `${row.id} (${row.model_id})`).join(', ');
  throw invalidField('servedModelId', `name one that the endpoint serves: ${names}`);
}
