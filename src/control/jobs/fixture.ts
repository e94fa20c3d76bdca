import type { IdKind } from '../../core/ids.ts';
import { digestJob } from '../billing/digest.ts';
import { settleJob } from '../billing/settle-job.ts';
import { budgetJob } from '../budget/job.ts';
import { newId } from '../call.ts';
import type { TestControl } from '../fixture.ts';
import { overdueJob } from '../overdue/job.ts';
import { recogniseJob } from '../prepaid/recognise-job.ts';
import { termJob } from '../prepaid/term-job.ts';
import { pricesJob } from '../price-book/job.ts';
import { rolloutJob } from '../rollout/job.ts';
import { runDue } from './runner.ts';

/** Every background job, up to the control plane's now. Throws what a job could not do. */
export async function runJobs(control: TestControl): Promise<void> {
  await turn(control, newId);
  if (control.errors.length > 0) throw new Error(JSON.stringify(control.errors), { cause: control.errors[0]?.fields });
}

/**
 * The same by a process that dies again and again: every id that is made, and each transaction makes some, may be the
 * point. `dies` is asked at each. Returns how often it died.
 */
export async function runJobsDying(control: TestControl, dies: () => boolean): Promise<number> {
  let deaths = 0;
  const mortal = (kind: IdKind) => {
    if (!dies()) return newId(kind);
    deaths += 1;
    throw killed;
  };
  const killed = new Error('killed');
  for (let before = -1; before !== deaths; ) {
    before = deaths;
    await turn(control, mortal).catch((error: unknown) => {
      if (error !== killed) throw error;
    });
  }
  control.errors.length = 0;
  return deaths;
}

async function turn(control: TestControl, makeId: (kind: IdKind) => string): Promise<void> {
  const { db, now, log } = control.deps;
  const jobs = [
    pricesJob(),
    settleJob(),
    digestJob,
    overdueJob(control.deps),
    rolloutJob(control.deps),
    recogniseJob,
    termJob(control.deps),
    budgetJob,
  ];
  await runDue(jobs, { db, now, log, newId: makeId, signal: new AbortController().signal });
}
