import { requireTenant } from '../internal.ts';
import { eachDue } from '../jobs/each.ts';
import type { Job } from '../jobs/job.ts';
import { evaluate } from './evaluate.ts';

/** Counts budgets at every full hour of their tenant's zone, a tenant's together. Last in the list of jobs. */
export const budgetJob: Job = {
  name: 'budget',
  async nextDueMs({ db }, afterMs) {
    const row = await db
      .selectFrom('budgets')
      .select((eb) => eb.fn.min<number | null>('next_due_ms').as('due_ms'))
      .where('next_due_ms', '>', afterMs)
      .executeTakeFirst();
    return row?.due_ms ?? null;
  },
  run: (deps) =>
    eachDue(deps, {
      next: (failed) =>
        deps.db
          .selectFrom('budgets')
          .select(['tenant_id as id', 'next_due_ms as due_ms'])
          .where('next_due_ms', '<=', deps.asOfMs)
          .$if(failed.length > 0, (query) => query.where('tenant_id', 'not in', failed))
          .orderBy('next_due_ms')
          .orderBy('id')
          .limit(1)
          .executeTakeFirst(),
      async handle(trx, tenantId, dueMs) {
        await evaluate(trx, deps, await requireTenant(trx, tenantId), { atMs: dueMs, budgetId: null });
      },
    }),
};
