import { follow, type TransitionTable } from './transition.ts';

/** What a tenant may be given or denied as a whole. `model_units`: to buy units, sold by the unit or in throughput bands. */
export const FEATURES = ['model_units'] as const;
export type Feature = (typeof FEATURES)[number];

/** `open`: every tenant has access until it is revoked. `by_application`: none has until it is granted. */
export const ACCESS_POLICIES = ['open', 'by_application'] as const;
export type AccessPolicy = (typeof ACCESS_POLICIES)[number];

/**
 * A tenant's access to a feature. Nothing was decided at first; then it is granted and revoked, as often as the operator
 * likes. Revoking ends no group: it stops orders of new units, of more units and of more months.
 */
export const ACCESS_STATES = ['undecided', 'granted', 'revoked'] as const;
export type AccessState = (typeof ACCESS_STATES)[number];
export type AccessEvent = 'grant' | 'revoke';

export const ACCESS_TRANSITIONS: TransitionTable<AccessState, AccessEvent> = {
  undecided: { grant: 'granted', revoke: 'revoked' },
  granted: { grant: null, revoke: 'revoked' },
  revoked: { grant: 'granted', revoke: null },
};

/** Throws `invalid_transition`. */
export function accessAfter(state: AccessState, event: AccessEvent): AccessState {
  return follow('access', ACCESS_TRANSITIONS, state, event);
}

export function mayBuy(policy: AccessPolicy, state: AccessState): boolean {
  return state === 'granted' || (state === 'undecided' && policy === 'open');
}
