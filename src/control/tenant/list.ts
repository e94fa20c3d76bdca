import { z } from 'zod';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { Name } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Tenant, tenantView } from './schemas.ts';

export const tenantList = defineVerb({
  name: 'tenant.list',
  summary: 'All tenants, newest first.',
  access: 'operate',
  route: { method: 'GET', path: '/tenants' },
  input: z.strictObject({ name: Name.optional().describe('Only tenants of this name'), ...PageInput }),
  output: pageOf(Tenant),
  columns: ['tenantId', 'name', 'zone', 'currency'],
  async run({ ctx, input }) {
    const { name } = input;
    const rows = await ctx.db
      .selectFrom('tenants')
      .selectAll()
      .$if(name !== undefined, (query) => query.where('name', '=', name ?? ''))
      .$call(newestFirst(input, 'created_at_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map(tenantView), nextCursor: page.nextCursor };
  },
});
