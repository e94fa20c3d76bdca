import { follow, type TransitionTable } from './transition.ts';

/**
 * What a tenant applies for (more quota, access) is pending until it is decided, once: approved or refused by the
 * operator, or withdrawn by the tenant. A change of mind is another application.
 */
export const APPLICATION_STATES = ['pending', 'approved', 'refused', 'withdrawn'] as const;
export type ApplicationState = (typeof APPLICATION_STATES)[number];
export type ApplicationEvent = 'approve' | 'refuse' | 'withdraw';

const NOTHING = { approve: null, refuse: null, withdraw: null } as const;

export const APPLICATION_TRANSITIONS: TransitionTable<ApplicationState, ApplicationEvent> = {
  pending: { approve: 'approved', refuse: 'refused', withdraw: 'withdrawn' },
  approved: NOTHING,
  refused: NOTHING,
  withdrawn: NOTHING,
};

/** Throws `invalid_transition`. */
export function applicationAfter(state: ApplicationState, event: ApplicationEvent): ApplicationState {
  return follow('application', APPLICATION_TRANSITIONS, state, event);
}
