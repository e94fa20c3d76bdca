import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { type Db, notFound } from '../internal.ts';
import { EpochMs, Id } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import type { Pool } from './pools.ts';

export const poolRemove = defineVerb({
  name: 'pool.remove',
  summary: 'End a pool that no endpoint uses any more. Running streams may finish.',
  access: 'operate',
  route: { method: 'DELETE', path: '/pools/{poolId}' },
  input: z.strictObject({ poolId: Id }),
  output: z.object({ poolId: Id, removedAtMs: EpochMs }),
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const pool = await requirePool(trx, input.poolId);
      const endpointIds = await endpointsOf(trx, pool.model_id);
      if (endpointIds.length > 0) {
        throw new CubitError(
          'conflict',
          `Endpoints are paid by the token for ${pool.model_id}: ${endpointIds.join(', ')}. Have them deleted first.`,
          { details: { endpointIds } },
        );
      }
      const removedAtMs = ctx.now();
      await trx.updateTable('pools').set({ removed_at_ms: removedAtMs }).where('id', '=', pool.id).execute();
      const detail = { modelId: pool.model_id };
      await audit(trx, ctx, { verb: 'pool.remove', subject: pool.id, tenantId: null, detail });
      return { poolId: pool.id, removedAtMs };
    });
    ctx.changed();
    return answer;
  },
});

/** A pool that is not removed. Throws `not_found`. */
export async function requirePool(db: Db, poolId: string): Promise<Pool> {
  const pool = await db
    .selectFrom('pools')
    .selectAll()
    .where('id', '=', poolId)
    .where('removed_at_ms', 'is', null)
    .executeTakeFirst();
  if (pool === undefined) throw notFound('pool', poolId);
  return pool;
}

const SHOWN = 20;

async function endpointsOf(db: Db, modelId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('endpoints')
    .innerJoin('served_models', 'served_models.endpoint_id', 'endpoints.id')
    .select('endpoints.id')
    .where('access_mode', '=', 'pay_per_token')
    .where('deleted_at_ms', 'is', null)
    .where('model_id', '=', modelId)
    .orderBy('endpoints.id')
    .limit(SHOWN)
    .execute();
  return rows.map((row) => row.id);
}
