import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { requireTenant } from '../internal.ts';
import { checkAutoRenew } from '../order/new.ts';
import { checkSellable, placeNewOrder } from '../order/place.ts';
import { askedAtMsOf, checkQuote, type Quote, quoteNew } from '../order/quote.ts';
import {
  AutoRenewMonths,
  BillingType,
  Id,
  MaxWaitMs,
  Months,
  OverflowPolicy,
  QuoteId,
  TenantId,
  TrafficPercent,
  Units,
} from '../schemas.ts';
import { type Ctx, defineVerb, type Trx, tenantOf } from '../verb.ts';
import { type ChosenModel, chooseModels } from './choose.ts';
import { Endpoint, endpointViews } from './schemas.ts';

const EndpointName = z
  .string()
  .regex(
    /^(?!ep-)[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$/,
    'lower-case letters, digits and . _ - between them, at most 63, not beginning with ep-',
  );

const WantedModel = z.strictObject({
  modelId: Id,
  templateId: Id.optional().describe('A template of the model; the first that machines here run when left out'),
  coefficient: z.number().min(1).optional().describe('Elasticity coefficient of a tier; the smallest when left out'),
  trafficPercent: TrafficPercent.optional().describe('Shares sum to 100; needed when there are several models'),
  units: Units,
  billingType: BillingType.default('postpaid'),
  months: Months.optional().describe('Prepaid: for how many months'),
  autoRenewMonths: AutoRenewMonths.optional(),
});

export const WantedModels = z.array(WantedModel).min(1).max(16).describe('Each with its first units');
type Wanted = z.output<typeof WantedModels>;

export const endpointCreate = defineVerb({
  name: 'endpoint.create',
  summary: 'Make an endpoint with its models and the first order of units for each: all or nothing.',
  access: 'manage',
  route: { method: 'POST', path: '/endpoints' },
  input: z.strictObject({
    tenantId: TenantId,
    name: EndpointName.describe('What requests say as `model`'),
    models: WantedModels,
    maxWaitMs: MaxWaitMs.default(10_000),
    overflowPolicy: OverflowPolicy.default('queue'),
    quoteId: QuoteId.optional(),
  }),
  output: Endpoint,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    const chosen = chooseModels(ctx.catalog, ctx.fleet, input.models);
    const askedAtMs = askedAtMsOf(input.quoteId, ctx.now());
    const answer = await ctx.transaction(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const endpoint: Row<'endpoints'> = {
        id: ctx.newId('endpoint'),
        tenant_id: tenant.id,
        name: input.name,
        access_mode: chosen[0]!.model.provisionedAs,
        overflow_policy: input.overflowPolicy,
        max_wait_ms: input.maxWaitMs,
        created_at_ms: ctx.now(),
        deleted_at_ms: null,
        suspended_at_ms: null,
      };
      await insertEndpoint(trx, endpoint);
      const quotes = await quoteModels(trx, ctx, { tenant, chosen, wanted: input.models }, askedAtMs);
      checkQuote(input.quoteId, quotes, askedAtMs);
      const orderIds: string[] = [];
      for (const [index, entry] of chosen.entries()) {
        const served = await insertServedModel(trx, ctx, endpoint, entry);
        const { autoRenewMonths } = input.models[index]!;
        const { order } = await placeNewOrder(trx, ctx, { tenant, served, autoRenewMonths }, quotes[index]!);
        orderIds.push(order.id);
      }
      await audit(trx, ctx, {
        verb: 'endpoint.create',
        subject: endpoint.id,
        tenantId: tenant.id,
        detail: { name: endpoint.name, models: input.models, orderIds },
      });
      const [view] = await endpointViews(ctx, trx, [endpoint]);
      return view!;
    });
    ctx.changed();
    return answer;
  },
});

/** What each model's first units cost. Throws as `quoteNew` does, and for what is not sold. */
export async function quoteModels(
  trx: Trx,
  ctx: Ctx,
  order: { readonly tenant: Row<'tenants'>; readonly chosen: readonly ChosenModel[]; readonly wanted: Wanted },
  askedAtMs: number,
): Promise<Quote[]> {
  const quotes: Quote[] = [];
  for (const [index, { template }] of order.chosen.entries()) {
    const wanted = order.wanted[index]!;
    checkSellable(template);
    checkAutoRenew(wanted, `models.${index}.autoRenewMonths`);
    quotes.push(await quoteNew(trx, ctx, { ...wanted, tenant: order.tenant, templateId: template.id }, askedAtMs));
  }
  return quotes;
}

/** The unique index on live names decides a race of two. */
async function insertEndpoint(trx: Trx, endpoint: Row<'endpoints'>): Promise<void> {
  const inserted = await trx
    .insertInto('endpoints')
    .values(endpoint)
    .onConflict((conflict) => conflict.columns(['tenant_id', 'name']).where('deleted_at_ms', 'is', null).doNothing())
    .returning('id')
    .executeTakeFirst();
  if (inserted !== undefined) return;
  throw new CubitError('conflict', `This tenant has an endpoint ${endpoint.name} already. Choose another name.`, {
    details: { field: 'name' },
  });
}

async function insertServedModel(trx: Trx, ctx: Ctx, endpoint: Row<'endpoints'>, chosen: ChosenModel) {
  const row: Row<'served_models'> = {
    id: ctx.newId('servedModel'),
    endpoint_id: endpoint.id,
    tenant_id: endpoint.tenant_id,
    model_id: chosen.model.id,
    template_id: chosen.template.id,
    coefficient: chosen.coefficient,
    traffic_percent: chosen.trafficPercent,
    created_at_ms: endpoint.created_at_ms,
  };
  await trx.insertInto('served_models').values(row).execute();
  return row;
}
