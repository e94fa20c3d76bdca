import { requireTenant } from '../internal.ts';
import { type DueColumn, eachDue, nextDueMs } from '../jobs/each.ts';
import type { Job } from '../jobs/job.ts';
import { nextRecognitionMs, recogniseDay, scheduleRecognition } from './recognise.ts';

const DUE: DueColumn = { table: 'recognition_standings', id: 'tenant_id', due: 'due_ms' };

/** Prepaid money becomes revenue, at each midnight of each tenant's zone. */
export const recogniseJob: Job = {
  name: 'recognise',
  nextDueMs: ({ db }, afterMs) => nextDueMs(db, DUE, afterMs),
  run: (deps) =>
    eachDue(deps, DUE, {
      async handle(trx, tenantId) {
        const tenant = await requireTenant(trx, tenantId);
        const toMs = await nextRecognitionMs(trx, tenant);
        if (toMs !== null && toMs <= deps.asOfMs) await recogniseDay(trx, deps, tenant, toMs);
        await scheduleRecognition(trx, tenant);
      },
    }),
};
