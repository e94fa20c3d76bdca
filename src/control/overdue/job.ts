import { nextOverdueEvent, OVERDUE_MS } from '../../core/commerce/overdue.ts';
import { audit } from '../../store/audit.ts';
import { balanceMicros } from '../../store/ledger.ts';
import { notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import { type DueColumn, dueJob } from '../jobs/each.ts';
import type { Job, JobDeps } from '../jobs/job.ts';
import { cancelPendingOrders } from '../order/cancel.ts';
import { moveGroup } from '../order/move.ts';
import { servingByToken, suspend } from '../pool/suspend.ts';
import type { Trx } from '../verb.ts';
import { livePostpaidGroups } from './overdue.ts';

const DUE: DueColumn = { table: 'overdues', id: 'id', due: 'next_due_ms' };

/** Warns tenants that are overdue, and takes their postpaid units back when they stay so. */
export function overdueJob(options: { changed(): void }): Job {
  return dueJob('overdue', DUE, handle, () => options.changed());
}

async function handle(trx: Trx, deps: JobDeps, id: string, dueMs: number): Promise<void> {
  const overdue = await trx
    .selectFrom('overdues')
    .selectAll()
    .where('id', '=', id)
    .where('next_due_ms', '=', dueMs)
    .executeTakeFirst();
  if (overdue === undefined) return;
  const event = nextOverdueEvent(overdue.since_ms, dueMs - 1);
  if (event?.kind === 'reclaim') return reclaim(trx, deps, overdue, dueMs);
  const { tenant_id: tenantId, since_ms: sinceMs } = overdue;
  const detail = { sinceMs, reclaimAtMs: sinceMs + OVERDUE_MS };
  await notify(trx, deps, { tenantId, kind: 'overdue', subject: tenantId, dueAtMs: dueMs, detail });
  await trx
    .updateTable('overdues')
    .set({ next_due_ms: nextOverdueEvent(sinceMs, dueMs)?.atMs ?? null })
    .where('id', '=', id)
    .execute();
}

/**
 * Billing stops at that instant; the provisioner drains the units, endpoints that are paid by the token answer 402. They
 * stay as they were set up.
 */
async function reclaim(trx: Trx, deps: JobDeps, overdue: Row<'overdues'>, dueMs: number): Promise<void> {
  const { tenant_id: tenantId } = overdue;
  const groups = await livePostpaidGroups(trx, tenantId, dueMs);
  for (const group of groups) {
    const endedAtMs = group.billed_from_ms === null ? dueMs : await billingMoment(trx, group, dueMs);
    await moveGroup(trx, group, ['reclaim'], { ended_at_ms: endedAtMs });
    await cancelPendingOrders(trx, deps, group.id, 'The tenant stayed overdue: its units were taken back.');
  }
  const endpointIds = await servingByToken(trx, tenantId, dueMs);
  // Money that came after the instant this is about, while no job ran, has them serve again.
  if ((await balanceMicros(trx, tenantId)) < 0n) await suspend(trx, endpointIds, dueMs);
  await trx
    .updateTable('overdues')
    .set({ ended_at_ms: dueMs, outcome: 'reclaimed', next_due_ms: null })
    .where('id', '=', overdue.id)
    .execute();
  const detail = { sinceMs: overdue.since_ms, groupIds: groups.map((group) => group.id), endpointIds };
  await notify(trx, deps, { tenantId, kind: 'overdue_reclaimed', subject: tenantId, dueAtMs: dueMs, detail });
  const actor = { kind: 'system', job: 'overdue' } as const;
  await audit(trx, { ...deps, actor }, { verb: 'overdue.reclaim', subject: tenantId, tenantId, detail });
}
