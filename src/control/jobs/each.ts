import { setImmediate as nextTick } from 'node:timers/promises';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';
import type { Job, JobDeps, JobRun } from './job.ts';

const DONE_MAX = 1000;

interface Due {
  readonly id: string;
  readonly due_ms: number;
}

/** Where it is written when a thing is due next (null: never); with an index by `due`, then `id`. */
export interface DueColumn {
  readonly table:
    | 'bill_digests'
    | 'budgets'
    | 'instance_groups'
    | 'overdues'
    | 'price_books'
    | 'recognition_standings'
    | 'rollouts';
  readonly id: 'id' | 'tenant_id' | 'version';
  readonly due: 'due_ms' | 'next_due_ms';
  /** In what order those of one instant come; by `id` unless told otherwise. */
  readonly order?: 'valid_from_ms';
}

/** A job's `nextDueMs`: the earliest instant later than `afterMs`, or null. */
export async function nextDueMs(db: Kysely<Database>, column: DueColumn, afterMs: number): Promise<number | null> {
  const due = sql.ref(column.due);
  const { rows } = await sql<{ due_ms: number | null }>`
    select min(${due}) as due_ms from ${sql.table(column.table)} where ${due} > ${afterMs}`.execute(db);
  return rows[0]?.due_ms ?? null;
}

/** A job that handles what is due, each thing by itself, and says `changed` after each. */
export function dueJob(
  name: string,
  column: DueColumn,
  handle: (trx: Trx, deps: JobDeps, id: string, dueMs: number) => Promise<void>,
  changed: () => void,
): Job {
  return {
    name,
    nextDueMs: ({ db }, afterMs) => nextDueMs(db, column, afterMs),
    run: (deps) =>
      eachDue(deps, column, { handle: (trx, id, dueMs) => handle(trx, deps, id, dueMs), committed: changed }),
  };
}

/** The first that is due by `asOfMs` and not among the failed. */
async function firstDue(
  { db, asOfMs }: JobDeps & { readonly asOfMs: number },
  column: DueColumn,
  failed: readonly string[],
): Promise<Due | undefined> {
  const [id, due] = [sql.ref(column.id), sql.ref(column.due)];
  const others = failed.length === 0 ? sql`` : sql`and ${id} not in (${sql.join(failed)})`;
  const { rows } = await sql<Due>`
    select ${id} as id, ${due} as due_ms from ${sql.table(column.table)}
    where ${due} <= ${asOfMs} ${others} order by ${due}, ${sql.ref(column.order ?? column.id)} limit 1`.execute(db);
  return rows[0];
}

/**
 * Handles what is due, one thing at a time and each in one transaction, earliest first. `handle` finds out for itself
 * whether it was handled already. What throws waits for the next turn, with all that is due of the same thing.
 */
export async function eachDue(
  deps: JobDeps & { readonly asOfMs: number },
  column: DueColumn,
  things: {
    handle(trx: Trx, id: string, dueMs: number): Promise<void>;
    committed?(): void;
  },
): Promise<JobRun> {
  const failures: { subject: string; error: unknown }[] = [];
  let done = 0;
  for (;;) {
    if (done >= DONE_MAX || deps.signal.aborted) return { done, more: true, failures };
    const failed = failures.map((failure) => failure.subject);
    const due = await firstDue(deps, column, failed);
    if (due === undefined) return { done, more: false, failures };
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
