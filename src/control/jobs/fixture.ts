import { settleJob } from '../billing/settle-job.ts';
import { newId } from '../call.ts';
import type { TestControl } from '../fixture.ts';
import { overdueJob } from '../overdue/job.ts';
import { recogniseJob } from '../prepaid/recognise-job.ts';
import { termJob } from '../prepaid/term-job.ts';
import { runDue } from './runner.ts';

/** Every background job, up to the control plane's now. */
export async function runJobs(control: TestControl): Promise<void> {
  const { db, now, log } = control.deps;
  const jobs = [settleJob(), overdueJob(control.deps), recogniseJob, termJob(control.deps)];
  const signal = new AbortController().signal;
  await runDue(jobs, { db, now, log, newId, signal });
  if (control.errors.length > 0) throw new Error(JSON.stringify(control.errors), { cause: control.errors[0]?.fields });
}
