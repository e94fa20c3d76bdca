import type { Job } from '../jobs/job.ts';
import { nextIssueMs, settle } from './settle.ts';

/** Issues bills, each when it is due. */
export function settleJob(options: { readonly issueDelayMs?: number; readonly billsMax?: number } = {}): Job {
  return {
    name: 'settle',
    nextDueMs: (deps, afterMs) => nextIssueMs({ ...options, db: deps.db }, afterMs),
    async run(deps) {
      const { bills, more, failures } = await settle({ ...options, ...deps });
      return { done: bills, more, failures: failures.map(({ tenantId, error }) => ({ subject: tenantId, error })) };
    },
  };
}
