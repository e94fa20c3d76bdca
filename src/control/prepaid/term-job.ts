import { nextTermEvents, type TermEvent } from '../../core/commerce/term.ts';
import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import { type Notice, notify } from '../../store/notices.ts';
import type { Row } from '../../store/schema.ts';
import { requireAccess } from '../access/access.ts';
import { requireTenant } from '../internal.ts';
import { type DueColumn, dueJob } from '../jobs/each.ts';
import type { Job, JobDeps } from '../jobs/job.ts';
import { moveGroup, moveOrder } from '../order/move.ts';
import { moneyOf, pendingOrders, quoteRenew } from '../order/quote.ts';
import { renewGroup } from '../order/renew.ts';
import { payBack } from '../order/settle.ts';
import type { Ctx, Trx } from '../verb.ts';

const DUE: DueColumn = { table: 'instance_groups', id: 'id', due: 'next_due_ms' };

/** The calendar of prepaid groups: reminders, auto-renewal, expiry, reclaim, each group's in order of time. */
export function termJob(options: Pick<Ctx, 'catalog' | 'policy' | 'changed'>): Job {
  return dueJob(
    'term',
    DUE,
    (trx, deps, id, dueMs) => handle(trx, { ...deps, ...options }, id, dueMs),
    () => options.changed(),
  );
}

type Deps = JobDeps & Pick<Ctx, 'catalog' | 'policy'>;

interface DueGroup {
  readonly group: Row<'instance_groups'>;
  readonly tenant: Row<'tenants'>;
  readonly dueMs: number;
  readonly daysLeft: number;
}

async function handle(trx: Trx, deps: Deps, groupId: string, dueMs: number): Promise<void> {
  const group = await trx
    .selectFrom('instance_groups')
    .selectAll()
    .where('id', '=', groupId)
    .where('next_due_ms', '=', dueMs)
    .executeTakeFirst();
  if (group === undefined || group.expires_at_ms === null || group.reclaim_at_ms === null) return;
  const tenant = await requireTenant(trx, group.tenant_id);
  const term = { expiresAtMs: group.expires_at_ms, reclaimAtMs: group.reclaim_at_ms, zone: tenant.zone };
  const { events, daysLeft } = nextTermEvents(term, dueMs - 1) ?? { events: [] as TermEvent[], daysLeft: 0 };
  for (const event of events) {
    const ended = await HANDLERS[event](trx, deps, { group, tenant, dueMs, daysLeft });
    if (ended) return;
  }
  const next = nextTermEvents(term, dueMs);
  await trx
    .updateTable('instance_groups')
    .set({ next_due_ms: next?.atMs ?? null })
    .where('id', '=', groupId)
    .execute();
}

/** True when the group has another term now, or none: what else was due at this instant is so no more. */
type Handler = (trx: Trx, deps: Deps, due: DueGroup) => Promise<boolean>;

const HANDLERS: Readonly<Record<TermEvent, Handler>> = {
  auto_renew: autoRenew,
  remind: (trx, deps, due) => tell(trx, deps, due, 'expiring', { daysLeft: due.daysLeft }),
  expire: (trx, deps, due) => tell(trx, deps, due, 'expired', {}),
  reclaim,
};

async function autoRenew(trx: Trx, deps: Deps, due: DueGroup): Promise<boolean> {
  const { group, tenant, dueMs } = due;
  const months = group.auto_renew_months;
  if (months === null) return false;
  try {
    await requireAccess(trx, deps, tenant.id);
    // By the price of the day it was due, however late it is.
    const asOf = { catalog: deps.catalog, now: () => dueMs };
    const quote = await quoteRenew(trx, asOf, { tenant, group, months }, dueMs);
    const renewal = { tenant, before: group, quote, nowMs: dueMs };
    const { order, group: renewed } = await renewGroup(trx, deps, renewal);
    const { payMicros } = moneyOf(quote);
    await tell(trx, deps, due, 'renewed', { months, expiresAtMs: renewed.expires_at_ms });
    await record(trx, deps, { verb: 'order.renew', subject: order.id, group, detail: { months, payMicros } });
    return true;
  } catch (error) {
    // Refused before anything was written: no access, too little money, no price any more, a resize under way.
    if (!(error instanceof CubitError) || error.code === 'conflict' || error.status >= 500) throw error;
    await trx
      .updateTable('instance_groups')
      .set({ auto_renew_failure: error.message })
      .where('id', '=', group.id)
      .execute();
    return tell(trx, deps, due, 'renew_failed', { reason: error.message, code: error.code });
  }
}

/** The units are taken back: streams drain, the endpoint stays as it was set up. Units that never came are paid back. */
async function reclaim(trx: Trx, deps: Deps, due: DueGroup): Promise<boolean> {
  const { group, dueMs } = due;
  const endedAtMs = Math.max(dueMs, group.billed_from_ms ?? dueMs);
  await moveGroup(trx, group, ['reclaim'], { ended_at_ms: endedAtMs, next_due_ms: null });
  for (const order of await pendingOrders(trx, group.id)) {
    const failure = 'The term ended before the units were ready.';
    await moveOrder(trx, order, 'cancel', { nowMs: deps.now(), failure });
    await payBack(trx, deps, order);
  }
  await tell(trx, deps, due, 'reclaimed', {});
  await record(trx, deps, { verb: 'group.reclaim', subject: group.id, group, detail: { atMs: dueMs } });
  return true;
}

async function tell(
  trx: Trx,
  deps: Deps,
  { group, dueMs }: DueGroup,
  kind: Notice['kind'],
  detail: Record<string, unknown>,
): Promise<boolean> {
  const { tenant_id: tenantId, id: subject, endpoint_id: endpointId } = group;
  const { expires_at_ms: expiresAtMs, reclaim_at_ms: reclaimAtMs, auto_renew_months: autoRenewMonths } = group;
  const facts = { endpointId, units: group.units, expiresAtMs, reclaimAtMs, autoRenewMonths };
  await notify(trx, deps, { tenantId, kind, subject, dueAtMs: dueMs, detail: { ...facts, ...detail } });
  return false;
}

async function record(
  trx: Trx,
  deps: Deps,
  entry: { verb: string; subject: string; group: Row<'instance_groups'>; detail: Record<string, unknown> },
): Promise<void> {
  const { verb, subject, group } = entry;
  const actor = { kind: 'system', job: 'term' } as const;
  const detail = { groupId: group.id, ...entry.detail };
  await audit(trx, { ...deps, actor }, { verb, subject, tenantId: group.tenant_id, detail });
}
