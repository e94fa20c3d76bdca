import { ID_PREFIXES } from '../core/ids.ts';
import type { ReplicaSpec, ReplicaStatus } from '../fleet/port.ts';
import type { Row } from '../store/schema.ts';
import type { Db } from './internal.ts';

/**
 * Units of a group and the replicas that are them. On a single-machine template one replica is one unit. Ids follow
 * from the group and the unit's number, so that whoever comes back after a kill asks for the same replicas again.
 */
export type GroupUnits = Pick<Row<'instance_groups'>, 'id' | 'served_model_id' | 'template_id' | 'units'>;

export function replicaIdOf(groupId: string, unit: number): string {
  return `${ID_PREFIXES.replica}-${groupId.slice(ID_PREFIXES.group.length + 1)}-${unit}`;
}

/** null for an id that this module did not make. */
export function groupIdOf(replicaId: string): string | null {
  const match = /^rep-(.+)-(?:\d+|e.+)$/.exec(replicaId);
  return match === null ? null : `${ID_PREFIXES.group}-${match[1]}`;
}

/** One replica for each unit that the group has or is being given. */
export function specsOf(group: GroupUnits): ReplicaSpec[] {
  return Array.from({ length: group.units }, (_, unit) => ({
    replicaId: replicaIdOf(group.id, unit),
    servedModelId: group.served_model_id,
    templateId: group.template_id,
    role: 'unified',
  }));
}

export function readyUnitsOf(group: GroupUnits, replicas: ReadonlyMap<string, ReplicaStatus>): number {
  return specsOf(group).filter((spec) => replicas.get(spec.replicaId)?.state === 'ready').length;
}

export function replicasById(replicas: readonly ReplicaStatus[]): Map<string, ReplicaStatus> {
  return new Map(replicas.map((replica) => [replica.replicaId, replica]));
}

/** Base units of each group that are billed: none before its first order succeeds, the old number while it grows. */
export async function paidUnitsOf(
  db: Db,
  groups: readonly Pick<Row<'instance_groups'>, 'id' | 'state' | 'units'>[],
): Promise<Map<string, number>> {
  const paid = new Map(groups.map((group) => [group.id, group.state === 'active' ? group.units : 0]));
  const growing = groups.filter((group) => group.state === 'resizing').map((group) => group.id);
  if (growing.length === 0) return paid;
  const orders = await db
    .selectFrom('orders')
    .select(['group_id', 'units'])
    .where('group_id', 'in', growing)
    .where('succeeded_at_ms', 'is not', null)
    .where('kind', 'in', ['new', 'resize'])
    .orderBy('succeeded_at_ms')
    .orderBy('created_at_ms')
    .execute();
  for (const order of orders) paid.set(order.group_id, order.units);
  return paid;
}
