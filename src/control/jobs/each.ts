import { setImmediate as nextTick } from 'node:timers/promises';
import type { Trx } from '../verb.ts';
import type { JobDeps, JobRun } from './job.ts';

const DONE_MAX = 1000;

interface Due {
  readonly id: string;
  readonly due_ms: number | null;
}

/**
 * Handles what is due, one thing at a time and each in one transaction, earliest first. `handle` finds out for itself
 * whether it was handled already. What throws waits for the next turn, with all that is due of the same thing.
 */
export async function eachDue(
  deps: JobDeps,
  things: {
    /** The first that is due and not among these. */
    next(failed: readonly string[]): Promise<Due | undefined>;
    handle(trx: Trx, id: string, dueMs: number): Promise<void>;
    committed?(): void;
  },
): Promise<JobRun> {
  const failures: { subject: string; error: unknown }[] = [];
  let done = 0;
  for (;;) {
    if (done >= DONE_MAX || deps.signal.aborted) return { done, more: true, failures };
    const due = await things.next(failures.map((failure) => failure.subject));
    if (due === undefined || due.due_ms === null) return { done, more: false, failures };
    const { id, due_ms: dueMs } = due;
    try {
      await deps.db.transaction().execute((trx) => things.handle(trx, id, dueMs));
      things.committed?.();
      done += 1;
    } catch (error) {
      failures.push({ subject: id, error });
    }
    await nextTick(); // requests that wait for the event loop come first
  }
}
