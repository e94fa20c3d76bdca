import { follow, type TransitionTable } from './transition.ts';

/**
 * What a tenant asks the operator for (more quota, access) is pending until it is decided, once: approved or refused by
 * the operator, or withdrawn by the tenant. A change of mind is another request.
 */
export const REQUEST_STATES = ['pending', 'approved', 'refused', 'withdrawn'] as const;
export type RequestState = (typeof REQUEST_STATES)[number];
export type RequestEvent = 'approve' | 'refuse' | 'withdraw';

const NOTHING = { approve: null, refuse: null, withdraw: null } as const;

export const REQUEST_TRANSITIONS: TransitionTable<RequestState, RequestEvent> = {
  pending: { approve: 'approved', refuse: 'refused', withdraw: 'withdrawn' },
  approved: NOTHING,
  refused: NOTHING,
  withdrawn: NOTHING,
};

/** Throws `invalid_transition`. */
export function requestAfter(state: RequestState, event: RequestEvent): RequestState {
  return follow('request', REQUEST_TRANSITIONS, state, event);
}
