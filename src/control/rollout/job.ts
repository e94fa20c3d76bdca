import { judge } from '../../core/serving/rollout.ts';
import { notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import { type DueColumn, dueJob } from '../jobs/each.ts';
import type { Job, JobDeps } from '../jobs/job.ts';
import type { Trx } from '../verb.ts';
import { moveTraffic } from './move.ts';
import { sampleOf } from './sample.ts';
import { guardOf, stepsOf } from './schemas.ts';

const DUE: DueColumn = { table: 'rollouts', id: 'id', due: 'next_due_ms' };

/** Looks at rollouts when their pause is over: the next step, another pause for want of requests, or back. */
export function rolloutJob(options: { changed(): void }): Job {
  return dueJob('rollout', DUE, handle, () => options.changed());
}

async function handle(trx: Trx, deps: JobDeps, id: string, dueMs: number): Promise<void> {
  const row = await trx
    .selectFrom('rollouts')
    .selectAll()
    .where('id', '=', id)
    .where('next_due_ms', '=', dueMs)
    .executeTakeFirst();
  if (row === undefined) return;
  const [to, from] = [await sampleOf(trx, row, row.to_id), await sampleOf(trx, row, row.from_id)];
  const verdict = judge(to, from, guardOf(row));
  // After a downtime a step has its whole pause, counted from when it is taken.
  const atMs = Math.max(dueMs, deps.now());
  if (verdict.kind === 'abort') return abort(trx, deps, row, { reason: verdict.reason, dueMs, atMs });
  if (verdict.kind === 'wait') return change(trx, id, { next_due_ms: atMs + row.pause_ms });
  const steps = stepsOf(row);
  const step = row.step + 1;
  const isLast = step >= steps.length - 1;
  await moveTraffic(trx, row, steps[step] ?? 100);
  await change(trx, id, {
    ...{ step, step_at_ms: atMs, state: isLast ? 'done' : 'running' },
    ...{ ended_at_ms: isLast ? atMs : null, next_due_ms: isLast ? null : atMs + row.pause_ms },
  });
}

async function abort(
  trx: Trx,
  deps: JobDeps,
  row: Row<'rollouts'>,
  { reason, dueMs, atMs }: { readonly reason: string; readonly dueMs: number; readonly atMs: number },
): Promise<void> {
  const percent = stepsOf(row)[row.step] ?? 100;
  await moveTraffic(trx, row, 0);
  await change(trx, row.id, { state: 'aborted', reason, ended_at_ms: atMs, next_due_ms: null });
  const detail = { endpointId: row.endpoint_id, servedModelId: row.to_id, percent, reason };
  await notify(trx, deps, {
    ...{ tenantId: row.tenant_id, kind: 'rollout_aborted', subject: row.id, dueAtMs: dueMs, detail },
  });
}

async function change(trx: Trx, id: string, changes: Partial<Row<'rollouts'>>): Promise<void> {
  await trx.updateTable('rollouts').set(changes).where('id', '=', id).execute();
}
