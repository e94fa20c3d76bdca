import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { EpochMs, Id } from '../schemas.ts';

/** An adapter on an endpoint. */
export const EndpointAdapter = z.object({
  endpointId: Id,
  modelId: Id,
  name: z.string(),
  callAs: z.string().describe('What requests say as `model`'),
  baseModelId: z.string(),
  rank: z.int().nonnegative(),
  addedAtMs: EpochMs,
});

/** What is known of an adapter where it is attached. */
export type AttachedAdapter = Pick<Row<'own_models'>, 'id' | 'name' | 'base_model_id' | 'rank' | 'path' | 'format'> & {
  readonly endpoint_id: string;
  readonly added_at_ms: number;
};

export function attachedAdapters(db: Db, endpointId?: string): Promise<AttachedAdapter[]> {
  return db
    .selectFrom('endpoint_adapters')
    .innerJoin('own_models', 'own_models.id', 'endpoint_adapters.model_id')
    .select(['own_models.id', 'name', 'base_model_id', 'rank', 'path', 'format', 'endpoint_id'])
    .select('endpoint_adapters.created_at_ms as added_at_ms')
    .$if(endpointId !== undefined, (query) => query.where('endpoint_id', '=', endpointId ?? ''))
    .orderBy('name')
    .orderBy('own_models.id')
    .execute();
}

export function adapterView(endpoint: Pick<Row<'endpoints'>, 'name'>, row: AttachedAdapter) {
  return {
    endpointId: row.endpoint_id,
    modelId: row.id,
    name: row.name,
    callAs: `${endpoint.name}:${row.name}`,
    baseModelId: row.base_model_id,
    rank: row.rank ?? 0,
    addedAtMs: row.added_at_ms,
  };
}
