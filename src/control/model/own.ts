import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { type Db, notFound } from '../internal.ts';
import { Count, EpochMs, Id } from '../schemas.ts';

/** A model that a tenant brought. */
export const OwnModel = z.object({
  modelId: Id,
  tenantId: Id,
  name: z.string(),
  kind: z.enum(['lora', 'full']),
  baseModelId: z.string(),
  format: z.enum(['gguf', 'peft']),
  source: z.string(),
  sha256: z.string(),
  bytes: Count,
  rank: Count.nullable().describe('Of an adapter'),
  alpha: z.number().nullable().describe('Of an adapter'),
  createdAtMs: EpochMs,
});

export function ownModelView(row: Row<'own_models'>): z.output<typeof OwnModel> {
  return {
    modelId: row.id,
    tenantId: row.tenant_id,
    name: row.name,
    kind: row.kind,
    baseModelId: row.base_model_id,
    format: row.format,
    source: row.source,
    sha256: row.sha256,
    bytes: row.bytes,
    rank: row.rank,
    alpha: row.alpha,
    createdAtMs: row.created_at_ms,
  };
}

/** By id, or (inside one tenant) by name. Throws `not_found`, for another tenant's too. */
export async function requireOwnModel(db: Db, scope: string | null, idOrName: string): Promise<Row<'own_models'>> {
  let query = db.selectFrom('own_models').selectAll().where('removed_at_ms', 'is', null);
  query =
    scope === null
      ? query.where('id', '=', idOrName)
      : query.where('tenant_id', '=', scope).where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]));
  const row = await query.executeTakeFirst();
  if (row === undefined) throw notFound('model', idOrName);
  return row;
}
