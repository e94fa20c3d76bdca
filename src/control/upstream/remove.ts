import { z } from 'zod';
import { audit } from '../../store/audit.ts';
import { notFound, scopeOf } from '../internal.ts';
import { Id, TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';

export const upstreamRemove = defineVerb({
  name: 'upstream.remove',
  summary: 'Spill no more to this server; its secret is forgotten.',
  access: 'buy',
  route: { method: 'DELETE', path: '/upstreams/{upstreamId}' },
  input: z.strictObject({ upstreamId: Id, tenantId: TenantFilter }),
  output: z.object({ upstreamId: Id }),
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const answer = await ctx.transaction(async (trx) => {
      const row = await trx
        .updateTable('upstreams')
        .set({ removed_at_ms: ctx.now(), api_key: null })
        .where('id', '=', input.upstreamId)
        .where('removed_at_ms', 'is', null)
        .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
        .returning(['id', 'tenant_id'])
        .executeTakeFirst();
      if (row === undefined) throw notFound('upstream', input.upstreamId);
      await audit(trx, ctx, { verb: 'upstream.remove', subject: row.id, tenantId: row.tenant_id });
      return { upstreamId: row.id };
    });
    ctx.changed();
    return answer;
  },
});
