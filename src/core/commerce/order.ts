import { follow, type TransitionTable } from './transition.ts';

/**
 * An order (new, resize, renew, unsubscribe) is drafted, and once placed it waits for its payment. Paid, it is handed to
 * the provisioner; when the units are as ordered it is active, and that is the second from which its effect is billed.
 * Until then it can be cancelled or fail: what was paid is paid back in full and nothing is billed. Active, cancelled and
 * failed are final: a change of mind is another order.
 */
export type OrderState = 'draft' | 'pending_payment' | 'paid' | 'provisioning' | 'active' | 'cancelled' | 'failed';
export type OrderEvent = 'place' | 'pay' | 'provision' | 'succeed' | 'cancel' | 'fail';

const NOTHING = { place: null, pay: null, provision: null, succeed: null, cancel: null, fail: null } as const;

export const ORDER_TRANSITIONS: TransitionTable<OrderState, OrderEvent> = {
  draft: { ...NOTHING, place: 'pending_payment', cancel: 'cancelled' },
  pending_payment: { ...NOTHING, pay: 'paid', cancel: 'cancelled', fail: 'failed' },
  paid: { ...NOTHING, provision: 'provisioning', cancel: 'cancelled', fail: 'failed' },
  provisioning: { ...NOTHING, succeed: 'active', cancel: 'cancelled', fail: 'failed' },
  active: NOTHING,
  cancelled: NOTHING,
  failed: NOTHING,
};

/** Throws `invalid_transition`. */
export function orderAfter(state: OrderState, event: OrderEvent): OrderState {
  return follow('order', ORDER_TRANSITIONS, state, event);
}

export function isOrderState(state: string): state is OrderState {
  return Object.hasOwn(ORDER_TRANSITIONS, state);
}
