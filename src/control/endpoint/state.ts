import type { GroupState } from '../../core/commerce/group.ts';
import { isLive } from '../internal.ts';

/**
 * What an endpoint is, derived from its groups:
 * creating (no unit was ever ready), ready, scaling (units are on their way), degraded (units that are paid are not
 * ready), stopped (nothing is bought).
 */
export const ENDPOINT_STATES = ['creating', 'ready', 'scaling', 'degraded', 'stopped'] as const;
export type EndpointState = (typeof ENDPOINT_STATES)[number];

interface GroupFacts {
  readonly state: GroupState;
  readonly units: number;
  readonly unitsReady: number;
}

export function endpointState(groups: readonly GroupFacts[]): EndpointState {
  const live = groups.filter((group) => isLive(group.state));
  if (live.length === 0) return 'stopped';
  if (live.every((group) => group.state === 'provisioning')) return 'creating';
  if (live.some((group) => group.state === 'active' && group.unitsReady < group.units)) return 'degraded';
  return live.some((group) => group.state !== 'active') ? 'scaling' : 'ready';
}
