import { CubitError } from '../../core/errors.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import { requireTenant } from '../internal.ts';
import { closeLots } from '../prepaid/apply.ts';
import { openLots, planPayBack } from '../prepaid/plan.ts';
import { recognisedToMs } from '../prepaid/recognise.ts';
import { runningPrice } from '../price-book/book.ts';
import type { ProvisionerDeps } from '../provision.ts';
import type { Trx } from '../verb.ts';
import { moveGroup, moveOrder } from './move.ts';
import { insertSegment, segmentPrice } from './place.ts';

type Deps = Pick<ProvisionerDeps, 'db' | 'catalog' | 'now' | 'newId' | 'changed'>;

/** All units are ready: the order is active, and from this instant its units are billed. */
export async function succeedOrder(deps: Deps, group: Row<'instance_groups'>): Promise<void> {
  await settle(deps, group, async (trx, order) => {
    const atMs = await billingMoment(trx, group, deps.now());
    await moveOrder(trx, order, 'succeed', { nowMs: atMs });
    if (group.state === 'provisioning') {
      await moveGroup(trx, group, ['ready'], { billed_from_ms: atMs });
    } else {
      await moveGroup(trx, group, ['resized']);
      const { zone } = await requireTenant(trx, group.tenant_id);
      const price = segmentPrice(group, await runningPrice(trx, group, zone, atMs));
      await insertSegment(trx, deps, { groupId: group.id, fromMs: atMs, units: group.units, price });
    }
    return { verb: 'order.succeed', detail: { groupId: group.id, units: group.units, atMs } };
  });
}

/**
 * A new group ends and was never billed; a resized one goes on with the units that it pays. What was prepaid is paid back
 * in full.
 */
export async function failOrder(
  deps: Deps,
  group: Row<'instance_groups'>,
  paidUnits: number,
  failure: string,
): Promise<void> {
  await settle(deps, group, async (trx, order) => {
    await moveOrder(trx, order, 'fail', { nowMs: deps.now(), failure });
    if (group.state === 'provisioning') await moveGroup(trx, group, ['fail'], { next_due_ms: null });
    else await moveGroup(trx, group, ['resize_failed'], { units: paidUnits });
    await payBack(trx, deps, order);
    return { verb: 'order.fail', detail: { groupId: group.id, failure } };
  });
}

/** What an order paid that never succeeded, in full. */
export async function payBack(trx: Trx, deps: Pick<Deps, 'now' | 'newId'>, order: Row<'orders'>): Promise<void> {
  if (order.billing_type === 'postpaid') return;
  const lots = (await openLots(trx, order.group_id)).filter((lot) => lot.order_id === order.id);
  const { closes } = planPayBack(lots, await requireTenant(trx, order.tenant_id));
  const atMs = Math.max(deps.now(), await recognisedToMs(trx, order.tenant_id));
  await closeLots(trx, deps, order, { closes, atMs, memo: 'The order failed: paid back in full' });
}

async function settle(
  deps: Deps,
  group: Row<'instance_groups'>,
  work: (trx: Trx, order: Row<'orders'>) => Promise<{ verb: string; detail: Record<string, unknown> }>,
): Promise<void> {
  try {
    await deps.db.transaction().execute(async (trx) => {
      const order = await trx
        .selectFrom('orders')
        .selectAll()
        .where('group_id', '=', group.id)
        .where('state', '=', 'provisioning')
        .executeTakeFirst();
      // Unsubscribed meanwhile: that cancelled the order.
      if (order === undefined) return;
      const done = await work(trx, order);
      const actor = { kind: 'system', job: 'provisioner' } as const;
      await audit(trx, { ...deps, actor }, { ...done, subject: order.id, tenantId: group.tenant_id });
    });
  } catch (error) {
    // Somebody moved the group at the same moment; the next pass sees what it is now.
    if (error instanceof CubitError && error.code === 'conflict') return;
    throw error;
  }
  deps.changed();
}
