import { type ElasticUnitEvent, elasticUnitAfter } from '../../core/commerce/elastic-unit.ts';
import { CubitError } from '../../core/errors.ts';
import { ID_PREFIXES, type IdKind } from '../../core/ids.ts';
import type { ReplicaSpec, Role } from '../../fleet/port.ts';
import { audit } from '../../store/audit.ts';
import type { Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import type { Db } from '../internal.ts';
import { insertSegment } from '../order/place.ts';
import { latestSegment } from '../price-book/book.ts';
import { machineIdOf, paidUnitsOf, replicaIdOf, unitIdsOf } from '../units.ts';
import type { Trx } from '../verb.ts';

/** Steps of the units that scaling adds to a group, each with what it means for the bill, in the caller's transaction. */
export interface ElasticDeps {
  /** Epoch milliseconds. */
  now(): number;
  newId(kind: IdKind): string;
}

export type ElasticUnit = Row<'elastic_units'>;
export type ElasticGroup = Pick<
  Row<'instance_groups'>,
  'id' | 'tenant_id' | 'served_model_id' | 'template_id' | 'units' | 'state' | 'billed_from_ms'
>;

/** Those that have not ended, by group, in order of their launch. */
export async function openUnits(db: Db, groupIds?: readonly string[]): Promise<ReadonlyMap<string, ElasticUnit[]>> {
  if (groupIds?.length === 0) return new Map();
  const rows = await db
    .selectFrom('elastic_units')
    .selectAll()
    .where('ended_at_ms', 'is', null)
    .$if(groupIds !== undefined, (query) => query.where('group_id', 'in', groupIds ?? []))
    .orderBy('launched_at_ms')
    .orderBy('id')
    .execute();
  return Map.groupBy(rows, (row) => row.group_id);
}

/** The machines of an added unit, started and drained together. */
export function elasticSpecsOf(
  group: ElasticGroup,
  unit: Pick<ElasticUnit, 'replica_id'>,
  roles: readonly Role[],
): ReplicaSpec[] {
  const { served_model_id: servedModelId, template_id: templateId } = group;
  return roles.map((role) => ({ replicaId: machineIdOf(unit.replica_id, role), servedModelId, templateId, role }));
}

export function addedReplicaIds(unit: Pick<ElasticUnit, 'replica_id'>, roles: readonly Role[]): string[] {
  return roles.map((role) => machineIdOf(unit.replica_id, role));
}

/** Writes down units that are to be started; whoever provisions starts them. */
export async function launchUnits(trx: Trx, deps: ElasticDeps, group: ElasticGroup, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = deps.newId('elasticUnit');
    const replicaId = `${ID_PREFIXES.replica}-${group.id.slice(ID_PREFIXES.group.length + 1)}-e${id.slice(ID_PREFIXES.elasticUnit.length + 1)}`;
    const none = { ready_at_ms: null, draining_at_ms: null, ended_at_ms: null, failure: null };
    const fresh = { id, group_id: group.id, replica_id: replicaId, launched_at_ms: deps.now() };
    await trx
      .insertInto('elastic_units')
      .values({ ...fresh, ...none, state: 'starting' })
      .execute();
  }
}

/**
 * Moves a unit; where that changes what the group is billed for, the segment of it begins at the same instant. Throws
 * `conflict` when somebody else moved it.
 */
export async function moveUnit(
  trx: Trx,
  deps: ElasticDeps,
  { group, unit, event, failure }: Move,
): Promise<ElasticUnit> {
  const state = elasticUnitAfter(unit.state, event);
  const billedBefore = unit.state === 'ready';
  const billedAfter = state === 'ready';
  const atMs = billedBefore === billedAfter ? deps.now() : await billingMoment(trx, group, deps.now());
  const ended = state === 'released' || state === 'failed';
  const moved = await trx
    .updateTable('elastic_units')
    .set({
      state,
      ...(event === 'ready' && { ready_at_ms: atMs }),
      ...(event === 'drain' && { draining_at_ms: atMs }),
      ...(ended && { ended_at_ms: atMs, failure: failure ?? null }),
    })
    .where('id', '=', unit.id)
    .where('state', '=', unit.state)
    .returningAll()
    .executeTakeFirst();
  if (moved === undefined) {
    throw new CubitError('conflict', `The unit ${unit.id} was changed by somebody else at the same moment. Try again.`);
  }
  if (billedBefore !== billedAfter) await insertUnitsSegment(trx, deps, group, atMs);
  await audit(
    trx,
    { ...deps, actor: { kind: 'system', job: 'scaler' } },
    {
      verb: `elastic-unit.${event}`,
      subject: unit.id,
      tenantId: group.tenant_id,
      detail: { groupId: group.id, replicaId: unit.replica_id, atMs, ...(failure !== undefined && { failure }) },
    },
  );
  return moved;
}

interface Move {
  readonly group: ElasticGroup;
  readonly unit: Pick<ElasticUnit, 'id' | 'state' | 'replica_id'>;
  readonly event: ElasticUnitEvent;
  /** For people, when it fails. */
  readonly failure?: string;
}

/** Base units that are billed and added ones that are ready, from an instant on, at the price the group has. */
async function insertUnitsSegment(trx: Trx, deps: ElasticDeps, group: ElasticGroup, fromMs: number): Promise<void> {
  const latest = await latestSegment(trx, group.id);
  const base = await basePaidUnits(trx, group);
  const price = { hourlyPriceMicros: latest.hourly_price_micros, version: latest.price_version };
  const units = base + (await readyUnits(trx, group.id));
  await insertSegment(trx, deps, { groupId: group.id, fromMs, units, price });
}

async function basePaidUnits(trx: Trx, group: ElasticGroup): Promise<number> {
  return (await paidUnitsOf(trx, [group])).get(group.id) ?? 0;
}

/** Units that scaling added to a group and that are billed now. */
export async function readyUnits(db: Db, groupId: string): Promise<number> {
  const row = await db
    .selectFrom('elastic_units')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('group_id', '=', groupId)
    .where('ended_at_ms', 'is', null)
    .where('state', '=', 'ready')
    .executeTakeFirstOrThrow();
  return Number(row.count);
}

/** Base units from `units` on become added ones that are ready: they serve and are billed as before. */
export async function handOver(trx: Trx, deps: ElasticDeps, group: ElasticGroup, units: number): Promise<void> {
  const nowMs = deps.now();
  const none = { draining_at_ms: null, ended_at_ms: null, failure: null };
  for (let unit = units; unit < group.units; unit++) {
    const row = { id: deps.newId('elasticUnit'), group_id: group.id, replica_id: replicaIdOf(group.id, unit), ...none };
    await trx
      .insertInto('elastic_units')
      .values({ ...row, state: 'ready', launched_at_ms: nowMs, ready_at_ms: nowMs })
      .execute();
  }
}

/** The other way: added units whose replicas are base units now are counted there. */
export async function absorb(trx: Trx, deps: ElasticDeps, group: ElasticGroup): Promise<void> {
  if (group.units === 0) return;
  await trx
    .updateTable('elastic_units')
    .set({ state: 'released', ended_at_ms: deps.now() })
    .where('group_id', '=', group.id)
    .where('ended_at_ms', 'is', null)
    .where('replica_id', 'in', unitIdsOf(group))
    .execute();
}
