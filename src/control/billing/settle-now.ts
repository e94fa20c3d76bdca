import { z } from 'zod';
import type { Job } from '../jobs/job.ts';
import { runDue } from '../jobs/runner.ts';
import { overdueJob } from '../overdue/job.ts';
import { pricesJob } from '../price-book/job.ts';
import { Count } from '../schemas.ts';
import { defineVerb } from '../verb.ts';
import { settleJob } from './settle-job.ts';

/** The same runs as the background jobs'; each bill has a transaction and an audit row of its own. */
export const billSettle = defineVerb({
  name: 'bill.settle',
  summary: 'Issue the bills that are due now. The background job does the same every minute.',
  access: 'operator',
  route: { method: 'POST', path: '/bills/settle' },
  input: z.strictObject({}),
  output: z.object({
    bills: Count.describe('Issued by this call'),
    more: z.boolean().describe('True when more are due: call again'),
    failedTenantIds: z.array(z.string()).describe('Tenants whose bills could not be written; the log says why'),
  }),
  async run({ ctx }) {
    let bills = 0;
    const failed = new Set<string>();
    const settling = settleJob();
    const counted: Job = {
      ...settling,
      async run(deps) {
        const run = await settling.run(deps);
        bills += run.done;
        for (const { subject } of run.failures) failed.add(subject);
        return run;
      },
    };
    // In order with new prices and the reclaim of units whose tenant stays overdue: beyond it nothing is billed.
    const nextMs = await runDue([pricesJob(), counted, overdueJob(ctx)], {
      db: ctx.db,
      now: () => ctx.now(),
      newId: ctx.newId,
      log: { info: () => undefined, error: () => undefined },
      signal: new AbortController().signal,
    });
    return { bills, more: nextMs !== null && nextMs <= ctx.now(), failedTenantIds: [...failed] };
  },
});
