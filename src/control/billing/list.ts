import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Bill, billView } from './schemas.ts';

export const billList = defineVerb({
  name: 'bill.list',
  summary: 'Bills, newest hour first. One per clock hour in which something was used.',
  access: 'view_money',
  route: { method: 'GET', path: '/bills' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Bill),
  columns: ['billId', 'hourFromMs', 'amount', 'issuedAtMs'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('bills')
      .selectAll()
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope))
      .$call(newestFirst(input, 'hour_from_ms', 'id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.hour_from_ms, id: row.id }));
    return { items: page.rows.map(billView), nextCursor: page.nextCursor };
  },
});
