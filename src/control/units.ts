import type { Catalog } from '../catalog/schema.ts';
import { ID_PREFIXES } from '../core/ids.ts';
import type { ReplicaSpec, ReplicaStatus, Role } from '../fleet/port.ts';
import type { Row } from '../store/schema.ts';
import type { Db } from './internal.ts';

/**
 * Units of a group and the replicas that are them: one on a single-machine template, one for each role on a disaggregated
 * one, inseparable. Ids follow from the group, the unit's number and the role, so that whoever comes back after a kill asks
 * for the same replicas again.
 */
export type GroupUnits = Pick<Row<'instance_groups'>, 'id' | 'served_model_id' | 'template_id' | 'units'>;

export function replicaIdOf(groupId: string, unit: number): string {
  return `${ID_PREFIXES.replica}-${groupId.slice(ID_PREFIXES.group.length + 1)}-${unit}`;
}

/** Of a unit's machine: the unit's own id, or with the role behind it. */
export function machineIdOf(unitId: string, role: Role): string {
  return role === 'unified' ? unitId : `${unitId}-${role}`;
}

/** null for an id that this module did not make. */
export function groupIdOf(replicaId: string): string | null {
  const match = /^rep-(.+?)-(?:\d+(?:-[a-z]+)?|e.+)$/.exec(replicaId);
  return match === null ? null : `${ID_PREFIXES.group}-${match[1]}`;
}

/** What a unit of a template consists of; of one that has left the catalogue, a whole machine. */
export function rolesOf({ templates }: Pick<Catalog, 'templates'>, templateId: string): readonly Role[] {
  return templates.get(templateId)?.roles.map(({ role }) => role) ?? ['unified'];
}

/** The replicas of each unit that the group has or is being given. */
export function unitsOf(group: GroupUnits, roles: readonly Role[]): ReplicaSpec[][] {
  const { id, served_model_id: servedModelId, template_id: templateId } = group;
  return Array.from({ length: group.units }, (_, unit) =>
    roles.map((role) => {
      const replicaId = machineIdOf(replicaIdOf(id, unit), role);
      return { replicaId, servedModelId, templateId, role };
    }),
  );
}

export function specsOf(group: GroupUnits, roles: readonly Role[]): ReplicaSpec[] {
  return unitsOf(group, roles).flat();
}

/** Units whose every machine is ready. */
export function readyUnitsOf(
  group: GroupUnits,
  roles: readonly Role[],
  replicas: ReadonlyMap<string, ReplicaStatus>,
): number {
  const isReady = ({ replicaId }: ReplicaSpec) => replicas.get(replicaId)?.state === 'ready';
  return unitsOf(group, roles).filter((unit) => unit.every(isReady)).length;
}

/** Ids of a group's base units; with the role behind them they are their machines'. */
export function unitIdsOf(group: Pick<GroupUnits, 'id' | 'units'>): string[] {
  return Array.from({ length: group.units }, (_, unit) => replicaIdOf(group.id, unit));
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
