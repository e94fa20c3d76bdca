import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { holdEndpoint, LIVE_GROUP_STATES, requireEndpoint, scopeOf } from '../internal.ts';
import { EpochMs, Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

export const endpointDelete = defineVerb({
  name: 'endpoint.delete',
  summary: 'Delete an endpoint that has no live group. Its name is free again.',
  access: 'manage_endpoints',
  route: { method: 'DELETE', path: '/endpoints/{endpointId}' },
  input: z.strictObject({ endpointId: Id.describe('Id or name'), tenantId: TenantFilter }),
  output: z.object({ endpointId: Id, deletedAtMs: EpochMs }),
  async run({ ctx, input }) {
    const answer = await ctx.transaction(async (trx) => {
      const endpoint = await requireEndpoint(trx, scopeOf(ctx, input), input.endpointId);
      await holdEndpoint(trx, endpoint.id);
      const live = await trx
        .selectFrom('instance_groups')
        .select('id')
        .where('endpoint_id', '=', endpoint.id)
        .where('state', 'in', LIVE_GROUP_STATES)
        .execute();
      if (live.length > 0) {
        const groupIds = live.map((group) => group.id);
        throw new CubitError(
          'conflict',
          `${endpoint.name} has live groups; unsubscribe them first: ${groupIds.join(', ')}.`,
          {
            details: { groupIds },
          },
        );
      }
      const deletedAtMs = ctx.now();
      await trx.updateTable('endpoints').set({ deleted_at_ms: deletedAtMs }).where('id', '=', endpoint.id).execute();
      await audit(trx, ctx, {
        verb: 'endpoint.delete',
        subject: endpoint.id,
        tenantId: endpoint.tenant_id,
        detail: { name: endpoint.name },
      });
      return { endpointId: endpoint.id, deletedAtMs };
    });
    ctx.changed();
    return answer;
  },
});
