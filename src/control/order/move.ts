import { type GroupEvent, groupAfter } from '../../core/commerce/group.ts';
import { isOrderState, type OrderEvent, type OrderState, orderAfter } from '../../core/commerce/order.ts';
import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import type { Trx } from '../verb.ts';

/**
 * Steps of orders and groups along core's transition tables. Each is one conditional UPDATE: of two that race, one moves
 * the row and the other gets `conflict`. A renewal changes no state, so a group's months are part of the condition.
 */
export async function moveGroup(
  trx: Trx,
  group: Pick<Row<'instance_groups'>, 'id' | 'state' | 'months' | 'units'>,
  events: readonly GroupEvent[],
  set: Partial<Omit<Row<'instance_groups'>, 'id' | 'state'>> = {},
): Promise<Row<'instance_groups'>> {
  const moved = await trx
    .updateTable('instance_groups')
    .set({ ...set, state: events.reduce(groupAfter, group.state) })
    .where('id', '=', group.id)
    .where('state', '=', group.state)
    .where('units', '=', group.units)
    .where('months', group.months === null ? 'is' : '=', group.months)
    .returningAll()
    .executeTakeFirst();
  if (moved === undefined) throw raced('instance group', group.id);
  return moved;
}

export async function moveOrder(
  trx: Trx,
  order: Pick<Row<'orders'>, 'id' | 'state'>,
  event: OrderEvent,
  set: { readonly nowMs: number; readonly failure?: string },
): Promise<Row<'orders'>> {
  if (!isOrderState(order.state)) throw new RangeError(`order ${order.id} is in state ${order.state}`);
  const state = orderAfter(order.state, event);
  const moved = await trx
    .updateTable('orders')
    .set({
      state,
      updated_at_ms: set.nowMs,
      ...(state === 'active' ? { succeeded_at_ms: set.nowMs } : {}),
      ...(set.failure === undefined ? {} : { failure: set.failure }),
    })
    .where('id', '=', order.id)
    .where('state', '=', order.state)
    .returningAll()
    .executeTakeFirst();
  if (moved === undefined) throw raced('order', order.id);
  return moved;
}

/** The state of an order after these events, from its draft. */
export function orderThrough(events: readonly OrderEvent[]): OrderState {
  return events.reduce(orderAfter, 'draft' as OrderState);
}

function raced(what: string, id: string): CubitError {
  return new CubitError('conflict', `The ${what} ${id} was changed by somebody else at the same moment. Try again.`);
}
