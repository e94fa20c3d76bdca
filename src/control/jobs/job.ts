import type { Kysely } from 'kysely';
import type { IdKind } from '../../core/ids.ts';
import type { Database } from '../../store/schema.ts';
import type { ControlLog } from '../call.ts';

export interface JobDeps {
  readonly db: Kysely<Database>;
  /** Epoch milliseconds: when things are written down, not when they were due. */
  now(): number;
  newId(kind: IdKind): string;
  readonly log: ControlLog;
  /** Aborted when the process stops or has lost its lease: end after the transaction under way, with `more`. */
  readonly signal: AbortSignal;
}

export interface JobRun {
  /** Things done. */
  readonly done: number;
  /** True when it stopped at its own bound or the signal: more is due. */
  readonly more: boolean;
  /** Things that could not be done: they wait for the next turn and hold nobody else up. */
  readonly failures: readonly { readonly subject: string; readonly error: unknown }[];
}

/**
 * Something that becomes due as time passes. Everything it needs is in the database, each thing is done in one
 * transaction that finds out for itself whether it was done already: so a job may be killed anywhere, run again, and run
 * beside itself.
 */
export interface Job {
  readonly name: string;
  /** The earliest instant later than `afterMs` at which something is due, also one that is past; null: nothing is. */
  nextDueMs(deps: JobDeps, afterMs: number): Promise<number | null>;
  /**
   * Does what is due at or before `asOfMs`, as if that were now. After a downtime the runner goes through the past with
   * it, due time by due time and across all jobs, so that the outcome is that of jobs which ran on time.
   */
  run(deps: JobDeps & { readonly asOfMs: number }): Promise<JobRun>;
}
