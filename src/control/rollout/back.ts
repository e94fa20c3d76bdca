import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { holdEndpoint, requireEndpoint, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { moveTraffic } from './move.ts';
import { lastRollout, RolloutView, rolloutView } from './schemas.ts';

export const rolloutBack = defineVerb({
  name: 'rollout.back',
  summary: 'Give all traffic of the last rollout back to the model that had it, at once. Streams under way go on.',
  access: 'manage_endpoints',
  route: { method: 'POST', path: '/endpoints/{endpointId}/rollout/back' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: RolloutView,
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      const before = await lastRollout(trx, endpoint.id);
      if (before.state === 'aborted' || before.state === 'taken_back') {
        throw new CubitError('invalid_transition', 'The last rollout of this endpoint went back already.');
      }
      const row = await trx
        .updateTable('rollouts')
        .set({ state: 'taken_back', ended_at_ms: ctx.now(), next_due_ms: null })
        .where('id', '=', before.id)
        .returningAll()
        .executeTakeFirstOrThrow();
      await moveTraffic(trx, row, 0);
      const detail = { rolloutId: row.id };
      await audit(trx, ctx, { verb: 'rollout.back', subject: endpoint.id, tenantId: row.tenant_id, detail });
      return rolloutView(trx, row);
    });
    ctx.changed();
    return answer;
  },
});
