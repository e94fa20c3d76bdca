import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Endpoint, endpointViews } from './schemas.ts';

export const endpointList = defineVerb({
  name: 'endpoint.list',
  summary: 'Endpoints, newest first.',
  access: 'view',
  route: { method: 'GET', path: '/endpoints' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Endpoint),
  columns: ['endpointId', 'state', 'accessMode', 'createdAtMs', 'name'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('endpoints')
      .selectAll()
      .where('deleted_at_ms', 'is', null)
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: await endpointViews(ctx, ctx.db, page.rows), nextCursor: page.nextCursor };
  },
});
