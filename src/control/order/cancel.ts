import type { IdKind } from '../../core/ids.ts';
import type { Trx } from '../verb.ts';
import { moveOrder } from './move.ts';
import { pendingOrders } from './quote.ts';

/**
 * A group that ends before its units were ready needs them no more: nothing is billed for them. What was paid for them
 * is given back with the rest of the group's money by the order that ends it.
 */
export async function cancelPendingOrders(
  trx: Trx,
  by: { now(): number; newId(kind: IdKind): string },
  groupId: string,
  failure: string,
): Promise<void> {
  for (const order of await pendingOrders(trx, groupId)) {
    await moveOrder(trx, order, 'cancel', { nowMs: by.now(), failure });
  }
}
