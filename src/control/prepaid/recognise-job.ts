import { requireTenant } from '../internal.ts';
import { eachDue } from '../jobs/each.ts';
import type { Job } from '../jobs/job.ts';
import { nextRecognitionMs, recogniseDay, scheduleRecognition } from './recognise.ts';

/** Prepaid money becomes revenue, at each midnight of each tenant's zone. */
export const recogniseJob: Job = {
  name: 'recognise',
  async nextDueMs({ db }, afterMs) {
    const row = await db
      .selectFrom('recognition_standings')
      .select((eb) => eb.fn.min<number | null>('due_ms').as('due_ms'))
      .where('due_ms', '>', afterMs)
      .executeTakeFirst();
    return row?.due_ms ?? null;
  },
  run: (deps) =>
    eachDue(deps, {
      next: (failed) =>
        deps.db
          .selectFrom('recognition_standings')
          .select(['tenant_id as id', 'due_ms'])
          .where('due_ms', '<=', deps.asOfMs)
          .$if(failed.length > 0, (query) => query.where('tenant_id', 'not in', failed))
          .orderBy('due_ms')
          .orderBy('tenant_id')
          .limit(1)
          .executeTakeFirst(),
      async handle(trx, tenantId) {
        const tenant = await requireTenant(trx, tenantId);
        const toMs = await nextRecognitionMs(trx, tenant);
        if (toMs !== null && toMs <= deps.asOfMs) await recogniseDay(trx, deps, tenant, toMs);
        await scheduleRecognition(trx, tenant);
      },
    }),
};
