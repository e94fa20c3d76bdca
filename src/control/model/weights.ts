import type { Db } from '../internal.ts';

/**
 * By served model, the path of the tenant's own weights, or null for those of the template's model. Every served model is
 * in it, so that a unit of one that is not known yet waits instead of starting with the wrong weights.
 */
export async function weightsOfServed(db: Db): Promise<ReadonlyMap<string, string | null>> {
  const rows = await db
    .selectFrom('served_models')
    .leftJoin('own_models', 'own_models.id', 'served_models.own_model_id')
    .select(['served_models.id', 'own_models.path'])
    .execute();
  return new Map(rows.map(({ id, path }) => [id, path]));
}
