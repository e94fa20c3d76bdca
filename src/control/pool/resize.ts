import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { checkCapacity } from '../order/place.ts';
import { Id, Units } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { requirePool } from './remove.ts';
import { PoolView, poolView } from './schemas.ts';

export const poolResize = defineVerb({
  name: 'pool.resize',
  summary: 'Give a pool more or fewer units. Running streams of units that are taken back may finish.',
  access: 'operate',
  route: { method: 'POST', path: '/pools/{poolId}/resize' },
  input: z.strictObject({ poolId: Id, units: Units }),
  output: PoolView,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const before = await requirePool(trx, input.poolId);
      const added = input.units - before.units;
      if (added > 0) await checkCapacity(trx, ctx, before.template_id, added);
      const pool = await trx
        .updateTable('pools')
        .set({ units: input.units })
        .where('id', '=', before.id)
        .where('removed_at_ms', 'is', null)
        .returningAll()
        .executeTakeFirstOrThrow();
      const detail = { before: before.units, units: input.units };
      await audit(trx, ctx, { verb: 'pool.resize', subject: pool.id, tenantId: null, detail });
      return poolView(ctx, trx, pool);
    });
    ctx.changed();
    return answer;
  },
});
