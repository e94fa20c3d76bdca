import { z } from 'zod';
import { requireTenant } from '../internal.ts';
import { EpochMs, Id, TenantId } from '../schemas.ts';
import { defineVerb, tenantOf } from '../verb.ts';
import { Budget, budgetView } from './schemas.ts';
import { spentOf } from './spent.ts';

export const budgetState = defineVerb({
  name: 'budget.state',
  summary: 'What is spent of the budgets at this moment, and whether what is paid per token has to stop.',
  access: 'view_money',
  route: { method: 'GET', path: '/budget-state' },
  input: z.strictObject({ tenantId: TenantId }),
  output: z.object({
    tenantId: Id,
    atMs: EpochMs,
    spillStopped: z.boolean().describe('For all of the tenant: a budget without label is spent, with hardStop'),
    stoppedLabels: z.array(z.string()).describe('For keys with these labels'),
    items: z.array(Budget),
  }),
  columns: ['label', 'amount', 'spent', 'percent', 'stopped'],
  async run({ ctx, input }) {
    const tenantId = tenantOf(ctx, input);
    return ctx.db.transaction().execute(async (trx) => {
      const tenant = await requireTenant(trx, tenantId);
      const atMs = ctx.now();
      const rows = await trx
        .selectFrom('budgets')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .orderBy('label')
        .execute();
      const spent = await spentOf(trx, tenant, rows, atMs);
      const items = rows.map((row) => budgetView({ ...row, ...spent.get(row.id) }, tenant.currency));
      const stopped = items.filter((item) => item.stopped).map(({ label }) => label);
      const stoppedLabels = stopped.filter((label) => label !== null);
      return { tenantId, atMs, spillStopped: stopped.includes(null), stoppedLabels, items };
    });
  },
});
