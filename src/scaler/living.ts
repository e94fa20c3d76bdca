import { addedReplicaIds, type ElasticUnit } from '../control/elastic/units.ts';
import { unitsOf } from '../control/units.ts';
import type { ReplicaStatus, Role } from '../fleet/port.ts';
import type { Row } from '../store/schema.ts';
import type { LivingUnit } from './observe.ts';

/** Base units of groups: ready when each of their machines is, else about to be. */
export function baseUnits(
  groups: readonly Row<'instance_groups'>[],
  roles: readonly Role[],
  replicas: ReadonlyMap<string, ReplicaStatus>,
): LivingUnit[] {
  return groups.flatMap((group) =>
    unitsOf(group, roles).map((specs) => {
      const machines = specs.map(({ replicaId }) => replicas.get(replicaId));
      const state = machines.every((machine) => machine?.state === 'ready') ? 'ready' : 'starting';
      const sinceMs = Math.max(...machines.map((machine) => machine?.readyAtMs ?? machine?.startedAtMs ?? 0));
      return { unitId: specs[0]!.replicaId, replicaIds: specs.map(({ replicaId }) => replicaId), state, sinceMs };
    }),
  );
}

export function addedUnits(units: readonly ElasticUnit[], roles: readonly Role[]): LivingUnit[] {
  return units.flatMap((unit) => {
    const { replica_id: unitId, state } = unit;
    if (state !== 'starting' && state !== 'ready' && state !== 'draining') return [];
    const sinceMs = unit.draining_at_ms ?? unit.ready_at_ms ?? unit.launched_at_ms;
    return [{ unitId, replicaIds: addedReplicaIds(unit, roles), state, sinceMs }];
  });
}
