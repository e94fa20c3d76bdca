import { follow, type TransitionTable } from './transition.ts';

/**
 * An instance group begins provisioning. It is active when all its units are ready, and billed from then; or it fails
 * and is never billed. An active group is resized as one: it keeps serving with the units it has, and is active again
 * whether the resize succeeds (with the new number) or fails (with the old one). Unsubscribing ends it from any of
 * these; unsubscribed and failed are final.
 */
export type GroupState = 'provisioning' | 'active' | 'resizing' | 'unsubscribed' | 'failed';
export type GroupEvent = 'ready' | 'fail' | 'resize' | 'resized' | 'resize_failed' | 'unsubscribe';

const NOTHING = {
  ready: null,
  fail: null,
  resize: null,
  resized: null,
  resize_failed: null,
  unsubscribe: null,
} as const;

export const GROUP_TRANSITIONS: TransitionTable<GroupState, GroupEvent> = {
  provisioning: { ...NOTHING, ready: 'active', fail: 'failed', unsubscribe: 'unsubscribed' },
  active: { ...NOTHING, resize: 'resizing', unsubscribe: 'unsubscribed' },
  resizing: { ...NOTHING, resized: 'active', resize_failed: 'active', unsubscribe: 'unsubscribed' },
  unsubscribed: NOTHING,
  failed: NOTHING,
};

/** Throws `invalid_transition`. */
export function groupAfter(state: GroupState, event: GroupEvent): GroupState {
  return follow('instance group', GROUP_TRANSITIONS, state, event);
}
