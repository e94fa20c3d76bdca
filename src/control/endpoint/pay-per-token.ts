import type { z } from 'zod';
import { formatMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { requireTenant } from '../internal.ts';
import { freeMicrosOf } from '../order/place.ts';
import { poolOf } from '../pool/pools.ts';
import type { Ctx, Trx } from '../verb.ts';
import { insertEndpoint, insertServedModel } from './insert.ts';
import { type Endpoint, endpointViews } from './schemas.ts';

interface Wanted {
  readonly tenantId: string;
  readonly name: string;
  readonly models: readonly (Readonly<Record<string, unknown>> & { readonly modelId: string })[];
  readonly maxWaitMs: number;
  readonly overflowPolicy: 'reject' | 'queue';
  readonly quoteId?: string | undefined;
}

/** An endpoint on its model's shared pool: nothing is ordered, and it serves at once. */
export async function createPaidByToken(ctx: Ctx, wanted: Wanted): Promise<z.output<typeof Endpoint>> {
  const modelId = onlyModel(wanted);
  const answer = await ctx.transaction(async (trx) => {
    const tenant = await requireTenant(trx, wanted.tenantId);
    const pool = await poolOf(trx, modelId);
    if (pool === undefined) {
      throw invalidField('models.0.modelId', `${modelId} is not offered by the token; cubit pool list shows what is`);
    }
    await checkCredit(trx, ctx, tenant);
    const endpoint: Row<'endpoints'> = {
      id: ctx.newId('endpoint'),
      tenant_id: tenant.id,
      name: wanted.name,
      access_mode: 'pay_per_token',
      overflow_policy: wanted.overflowPolicy,
      max_wait_ms: wanted.maxWaitMs,
      created_at_ms: ctx.now(),
      deleted_at_ms: null,
      suspended_at_ms: null,
    };
    await insertEndpoint(trx, endpoint);
    const { template_id: templateId, coefficient } = pool;
    await insertServedModel(trx, ctx, endpoint, { modelId, templateId, coefficient, trafficPercent: 100 });
    const detail = { name: endpoint.name, accessMode: 'pay_per_token', modelId, poolId: pool.id };
    await audit(trx, ctx, { verb: 'endpoint.create', subject: endpoint.id, tenantId: tenant.id, detail });
    const [view] = await endpointViews(ctx, trx, [endpoint]);
    return view!;
  });
  ctx.changed();
  return answer;
}

/** What is about units cannot be said of a pool. */
function onlyModel({ models, quoteId }: Wanted): string {
  const [first, ...others] = models;
  if (first === undefined || others.length > 0) {
    throw invalidField('models', 'an endpoint that is paid by the token serves one model');
  }
  const { modelId, trafficPercent, billingType, ...units } = first;
  for (const [name, value] of Object.entries(units)) {
    if (value !== undefined)
      throw invalidField(`models.0.${name}`, 'an endpoint that is paid by the token has no units');
  }
  if (billingType !== 'postpaid') throw invalidField('models.0.billingType', 'tokens are paid after each hour');
  if (trafficPercent !== undefined && trafficPercent !== 100) {
    throw invalidField('models.0.trafficPercent', 'the only model has all of it');
  }
  if (quoteId !== undefined) throw invalidField('quoteId', 'there is nothing to quote: prices are in cubit pool list');
  return modelId;
}

/** Tokens are paid after they were used: a wallet with nothing in it gets none. */
async function checkCredit(trx: Trx, ctx: Ctx, tenant: Row<'tenants'>): Promise<void> {
  const freeMicros = await freeMicrosOf(trx, tenant, ctx.now());
  if (freeMicros > 0n) return;
  const { currency } = tenant;
  const available = formatMicros(freeMicros);
  throw new CubitError('payment_required', `The wallet has ${available} ${currency} available: top it up first.`, {
    details: { available, currency },
  });
}
