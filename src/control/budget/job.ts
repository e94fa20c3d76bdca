import { requireTenant } from '../internal.ts';
import { type DueColumn, eachDue, nextDueMs } from '../jobs/each.ts';
import type { Job } from '../jobs/job.ts';
import { evaluate } from './evaluate.ts';

const DUE: DueColumn = { table: 'budgets', id: 'tenant_id', due: 'next_due_ms' };

/** Counts budgets at every full hour of their tenant's zone, a tenant's together. Last in the list of jobs. */
export const budgetJob: Job = {
  name: 'budget',
  nextDueMs: ({ db }, afterMs) => nextDueMs(db, DUE, afterMs),
  run: (deps) =>
    eachDue(deps, DUE, {
      async handle(trx, tenantId, dueMs) {
        await evaluate(trx, deps, await requireTenant(trx, tenantId), { atMs: dueMs, budgetId: null });
      },
    }),
};
