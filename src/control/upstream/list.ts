import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Upstream, upstreamView } from './schemas.ts';

export const upstreamList = defineVerb({
  name: 'upstream.list',
  summary: 'Servers of others that endpoints may spill to, and what they cost.',
  access: 'view',
  route: { method: 'GET', path: '/upstreams' },
  input: z.strictObject({ tenantId: TenantFilter }),
  output: z.object({ items: z.array(Upstream) }),
  columns: ['upstreamId', 'name', 'baseUrl', 'model', 'input', 'output'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('upstreams')
      .innerJoin('tenants', 'tenants.id', 'upstreams.tenant_id')
      .selectAll('upstreams')
      .select('tenants.currency')
      .where('removed_at_ms', 'is', null)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .orderBy('upstreams.id')
      .execute();
    return { items: rows.map((row) => upstreamView(row, row.currency)) };
  },
});
