import { z } from 'zod';
import { scopeOf } from '../internal.ts';
import { cutPage, newestFirst, PageInput, pageOf } from '../page.ts';
import { TenantFilter } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { Budget, budgetView } from './schemas.ts';

export const budgetList = defineVerb({
  name: 'budget.list',
  summary: 'Budgets with what was spent of them by the last full hour, newest first.',
  access: 'view_money',
  route: { method: 'GET', path: '/budgets' },
  input: z.strictObject({ tenantId: TenantFilter, ...PageInput }),
  output: pageOf(Budget),
  columns: ['budgetId', 'label', 'amount', 'spent', 'percent', 'month', 'hardStop', 'stopped'],
  async run({ ctx, input }) {
    const scope = scopeOf(ctx, input);
    const rows = await ctx.db
      .selectFrom('budgets')
      .innerJoin('tenants', 'tenants.id', 'budgets.tenant_id')
      .selectAll('budgets')
      .select('currency')
      .$if(scope !== null, (query) => query.where('tenant_id', '=', scope ?? ''))
      .$call(newestFirst(input, 'budgets.created_at_ms', 'budgets.id'))
      .execute();
    const page = cutPage(rows, input.limit, (row) => ({ atMs: row.created_at_ms, id: row.id }));
    return { items: page.rows.map((row) => budgetView(row, row.currency)), nextCursor: page.nextCursor };
  },
});
