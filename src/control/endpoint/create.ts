import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { checkFirstRule, FirstRule } from '../elastic/first.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { requireOwnModel } from '../model/own.ts';
import { checkAutoRenew } from '../order/new.ts';
import { checkSellable, placeNewOrder } from '../order/place.ts';
import { askedAtMsOf, checkQuote, type Quote, quoteNew } from '../order/quote.ts';
import {
  AgreementVersion,
  AutoRenewMonths,
  BillingType,
  FirstUnits,
  Id,
  MaxWaitMs,
  Months,
  OverflowPolicy,
  QuoteId,
  TenantId,
  TrafficPercent,
} from '../schemas.ts';
import { type Ctx, defineVerb, type Trx, tenantOf } from '../verb.ts';
import { type ChosenModel, chooseModels } from './choose.ts';
import { insertEndpoint, insertServedModel } from './insert.ts';
import { createPaidByToken } from './pay-per-token.ts';
import { AccessMode, Endpoint, endpointViews } from './schemas.ts';

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
  ownModelId: Id.optional().describe(
    'Your own fully fine-tuned model, by id or name: its weights in place of the model’s',
  ),
  units: FirstUnits.optional().describe('Model units; 0 only with an elastic rule; none where it is paid by the token'),
  billingType: BillingType.default('postpaid'),
  months: Months.optional().describe('Prepaid: for how many months'),
  autoRenewMonths: AutoRenewMonths.optional(),
  elastic: FirstRule.optional(),
});

export const WantedModels = z
  .array(WantedModel)
  .min(1)
  .max(16)
  .describe('Each with its first units=…, or without where it is paid by the token');
type Wanted = z.output<typeof WantedModels>;

export const endpointCreate = defineVerb({
  name: 'endpoint.create',
  summary:
    'Make an endpoint with its models and the first order of units for each, or paid by the token: all or nothing.',
  access: 'buy',
  route: { method: 'POST', path: '/endpoints' },
  input: z.strictObject({
    tenantId: TenantId,
    name: EndpointName.describe('What requests say as `model`'),
    accessMode: AccessMode.optional().describe('pay_per_token: a shared pool, no units; else as the model is sold'),
    models: WantedModels,
    maxWaitMs: MaxWaitMs.default(10_000),
    overflowPolicy: OverflowPolicy.exclude(['spill']).default('queue').describe('spill: later, by overflow set'),
    agreementVersion: AgreementVersion.optional(),
    quoteId: QuoteId.optional(),
  }),
  output: Endpoint,
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    if (input.accessMode === 'pay_per_token') return createPaidByToken(ctx, { ...input, tenantId });
    const chosen = chooseModels(ctx.catalog, ctx.fleet, input.models);
    checkAccessMode(input.accessMode, chosen);
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
        const ownModelId = await ownWeights(trx, endpoint, entry, input.models[index]?.ownModelId);
        const written = { ...entry, modelId: entry.model.id, templateId: entry.template.id, ownModelId };
        const served = await insertServedModel(trx, ctx, endpoint, written);
        const { autoRenewMonths, elastic } = input.models[index]!;
        const wanted = { tenant, served, autoRenewMonths, elastic, agreementVersion: input.agreementVersion };
        const { order } = await placeNewOrder(trx, ctx, wanted, quotes[index]!);
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

/** A whole model of the tenant's, made from the very model that the template is for, on an engine that we start. */
async function ownWeights(
  trx: Trx,
  endpoint: Row<'endpoints'>,
  { model, template }: ChosenModel,
  asked: string | undefined,
): Promise<string | null> {
  if (asked === undefined) return null;
  const own = await requireOwnModel(trx, endpoint.tenant_id, asked);
  const fault =
    own.kind !== 'full'
      ? `${own.name} is an adapter: add it to the endpoint (adapter.add)`
      : own.base_model_id !== model.id
        ? `${own.name} was made from ${own.base_model_id}, not ${model.id}`
        : template.engine.kind !== 'llama'
          ? `own weights run on templates of the embedded engine; ${template.id} is for servers that run already`
          : null;
  if (fault !== null) throw invalidField('models.ownModelId', fault);
  return own.id;
}

/** What each model's first units cost. Throws as `quoteNew` does, and for what is not sold. */
export async function quoteModels(
  trx: Trx,
  ctx: Ctx,
  order: { readonly tenant: Row<'tenants'>; readonly chosen: readonly ChosenModel[]; readonly wanted: Wanted },
  askedAtMs: number,
): Promise<Quote[]> {
  const quotes: Quote[] = [];
  for (const [index, { template }] of order.chosen.entries()) {
    const { units, ...wanted } = order.wanted[index]!;
    if (units === undefined) throw invalidField(`models.${index}.units`, 'say how many model units');
    checkSellable(template);
    checkAutoRenew(wanted, `models.${index}.autoRenewMonths`);
    checkFirstRule({ ...wanted, units }, `models.${index}.`);
    quotes.push(
      await quoteNew(trx, ctx, { ...wanted, units, tenant: order.tenant, templateId: template.id }, askedAtMs),
    );
  }
  return quotes;
}

function checkAccessMode(asked: Row<'endpoints'>['access_mode'] | undefined, chosen: readonly ChosenModel[]): void {
  const { provisionedAs, id } = chosen[0]!.model;
  if (asked === undefined || asked === provisionedAs) return;
  throw invalidField('accessMode', `${id} is sold as ${provisionedAs}, or paid by the token (pay_per_token)`);
}
