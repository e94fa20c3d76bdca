import { follow, type TransitionTable } from './transition.ts';

/**
 * One unit that scaling added above a postpaid group's base, from its launch to its release. It is billed while it is
 * ready and at no other time: nobody pays for a start-up or a drain. A draining unit takes no new request and finishes
 * those it has; until it is released it can be taken back, ready at once. A unit whose start hangs or that died is failed;
 * scaling launches another. Released and failed are final.
 */
export const ELASTIC_UNIT_STATES = ['starting', 'ready', 'draining', 'released', 'failed'] as const;
export type ElasticUnitState = (typeof ELASTIC_UNIT_STATES)[number];
export type ElasticUnitEvent = 'ready' | 'drain' | 'take_back' | 'release' | 'fail';

const NOTHING = { ready: null, drain: null, take_back: null, release: null, fail: null } as const;

export const ELASTIC_UNIT_TRANSITIONS: TransitionTable<ElasticUnitState, ElasticUnitEvent> = {
  // A start that is not needed any more is released without having been ready.
  starting: { ...NOTHING, ready: 'ready', release: 'released', fail: 'failed' },
  ready: { ...NOTHING, drain: 'draining', release: 'released', fail: 'failed' },
  draining: { ...NOTHING, take_back: 'ready', release: 'released', fail: 'failed' },
  released: NOTHING,
  failed: NOTHING,
};

/** Throws `invalid_transition`. */
export function elasticUnitAfter(state: ElasticUnitState, event: ElasticUnitEvent): ElasticUnitState {
  return follow('elastic unit', ELASTIC_UNIT_TRANSITIONS, state, event);
}
