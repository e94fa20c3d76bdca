import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import type { Ctx, Trx } from '../verb.ts';

/** A model of an endpoint as it is written down. */
interface Inserted {
  readonly modelId: string;
  readonly templateId: string;
  readonly coefficient: number;
  readonly trafficPercent: number;
  readonly ownModelId?: string | null;
}

/** The unique index on live names decides a race of two. */
export async function insertEndpoint(trx: Trx, endpoint: Row<'endpoints'>): Promise<void> {
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

export async function insertServedModel(trx: Trx, ctx: Ctx, endpoint: Row<'endpoints'>, chosen: Inserted) {
  const row: Row<'served_models'> = {
    id: ctx.newId('servedModel'),
    endpoint_id: endpoint.id,
    tenant_id: endpoint.tenant_id,
    model_id: chosen.modelId,
    template_id: chosen.templateId,
    own_model_id: chosen.ownModelId ?? null,
    coefficient: chosen.coefficient,
    traffic_percent: chosen.trafficPercent,
    created_at_ms: endpoint.created_at_ms,
  };
  await trx.insertInto('served_models').values(row).execute();
  return row;
}
