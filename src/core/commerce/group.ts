import { follow, type TransitionTable } from './transition.ts';

/**
 * An instance group begins provisioning. It is active when all its units are ready, and billed from then; or it fails
 * and is never billed. An active group is resized as one: it keeps serving with the units it has, and is active again
 * whether the resize succeeds (with the new number) or fails (with the old one). A prepaid group is renewed while it is
 * active: that moves its expiry and changes no state. Its expiry is a time, not a state: it serves on until it is
 * reclaimed. Unsubscribing ends a group from any of these, reclaiming too (a term that was not renewed, a tenant that
 * stayed overdue); unsubscribed, reclaimed and failed are final.
 */
export const GROUP_STATES = ['provisioning', 'active', 'resizing', 'unsubscribed', 'reclaimed', 'failed'] as const;
export type GroupState = (typeof GROUP_STATES)[number];
export type GroupEvent =
  | 'ready'
  | 'fail'
  | 'resize'
  | 'resized'
  | 'resize_failed'
  | 'renew'
  | 'unsubscribe'
  | 'reclaim';

const NOTHING = {
  ready: null,
  fail: null,
  resize: null,
  resized: null,
  resize_failed: null,
  renew: null,
  unsubscribe: null,
  reclaim: null,
} as const;
const ENDS = { unsubscribe: 'unsubscribed', reclaim: 'reclaimed' } as const;

export const GROUP_TRANSITIONS: TransitionTable<GroupState, GroupEvent> = {
  provisioning: { ...NOTHING, ...ENDS, ready: 'active', fail: 'failed' },
  active: { ...NOTHING, ...ENDS, resize: 'resizing', renew: 'active' },
  resizing: { ...NOTHING, ...ENDS, resized: 'active', resize_failed: 'active' },
  unsubscribed: NOTHING,
  reclaimed: NOTHING,
  failed: NOTHING,
};

/** Throws `invalid_transition`. */
export function groupAfter(state: GroupState, event: GroupEvent): GroupState {
  return follow('instance group', GROUP_TRANSITIONS, state, event);
}
