import type { Kysely } from 'kysely';
import type { GroupState } from '../core/commerce/group.ts';
import { CubitError } from '../core/errors.ts';
import { ID_PREFIXES } from '../core/ids.ts';
import type { Database, Row } from '../store/schema.ts';
import { type Ctx, ownTenantOf, type Trx } from './verb.ts';

/** A transaction is one too. */
export type Db = Kysely<Database>;

/** States of a group that holds units or is being given them. */
export const LIVE_GROUP_STATES = ['provisioning', 'active', 'resizing'] as const satisfies readonly GroupState[];

export function isLive(state: GroupState): boolean {
  return (LIVE_GROUP_STATES as readonly GroupState[]).includes(state);
}

export function notFound(what: string, id: string): CubitError {
  return new CubitError('not_found', `There is no ${what} ${id}.`, { details: { what, id } });
}

/** The only tenant whose rows the actor may see: a key's or member's own, the one an operator names, or null for all of them. */
export function scopeOf(ctx: Pick<Ctx, 'actor'>, input: { tenantId?: string | undefined } = {}): string | null {
  const { actor } = ctx;
  if (actor.kind === 'operator') return input.tenantId ?? null;
  const own = ownTenantOf(actor);
  if (input.tenantId !== undefined && input.tenantId !== own) throw notFound('tenant', input.tenantId);
  return own;
}

export async function requireTenant(db: Db, tenantId: string): Promise<Row<'tenants'>> {
  const tenant = await db.selectFrom('tenants').selectAll().where('id', '=', tenantId).executeTakeFirst();
  if (tenant === undefined) throw notFound('tenant', tenantId);
  return tenant;
}

/** An endpoint that is not deleted, by id or (inside one tenant) by name. Throws `not_found`. */
export async function requireEndpoint(db: Db, scope: string | null, idOrName: string): Promise<Row<'endpoints'>> {
  if (scope === null && !idOrName.startsWith(`${ID_PREFIXES.endpoint}-`)) {
    throw new CubitError('invalid_request', 'Names of endpoints are per tenant: add tenantId, or give the id (ep-…).', {
      details: { param: 'tenantId' },
    });
  }
  let query = db.selectFrom('endpoints').selectAll().where('deleted_at_ms', 'is', null);
  query =
    scope === null
      ? query.where('id', '=', idOrName)
      : query.where('tenant_id', '=', scope).where((eb) => eb.or([eb('id', '=', idOrName), eb('name', '=', idOrName)]));
  const endpoint = await query.executeTakeFirst();
  if (endpoint === undefined) throw notFound('endpoint', idOrName);
  return endpoint;
}

/** For lists of what outlives its endpoint: an id as it is, be it a deleted one's, and a name looked up. */
export async function endpointIdOf(db: Db, scope: string | null, idOrName: string | undefined) {
  const isId = idOrName === undefined || idOrName.startsWith(`${ID_PREFIXES.endpoint}-`);
  return isId ? idOrName : (await requireEndpoint(db, scope, idOrName)).id;
}

/**
 * Writes the endpoint's row as it is: until the transaction ends nobody else deletes the endpoint or changes its
 * traffic. Throws `not_found` when it was deleted meanwhile.
 */
export async function holdEndpoint(trx: Trx, endpointId: string): Promise<void> {
  const held = await trx
    .updateTable('endpoints')
    .set((eb) => ({ name: eb.ref('name') }))
    .where('id', '=', endpointId)
    .where('deleted_at_ms', 'is', null)
    .returning('id')
    .executeTakeFirst();
  if (held === undefined) throw notFound('endpoint', endpointId);
}

export async function requireGroup(db: Db, scope: string | null, groupId: string): Promise<Row<'instance_groups'>> {
  let query = db.selectFrom('instance_groups').selectAll().where('id', '=', groupId);
  if (scope !== null) query = query.where('tenant_id', '=', scope);
  const group = await query.executeTakeFirst();
  if (group === undefined) throw notFound('instance group', groupId);
  return group;
}

export async function requireOrder(db: Db, scope: string | null, orderId: string): Promise<Row<'orders'>> {
  let query = db.selectFrom('orders').selectAll().where('id', '=', orderId);
  if (scope !== null) query = query.where('tenant_id', '=', scope);
  const order = await query.executeTakeFirst();
  if (order === undefined) throw notFound('order', orderId);
  return order;
}
