import { CubitError } from '../core/errors.ts';
import { ID_BYTES, ID_PREFIXES } from '../core/ids.ts';
import type { Client } from './client.ts';

const TENANT_ID = new RegExp(`^${ID_PREFIXES.tenant}-[0-9a-x]{${ID_BYTES}}$`);
const NAMES_SHOWN = 10;

interface Tenants {
  readonly items: readonly { readonly tenantId: string; readonly name: string }[];
  readonly nextCursor: string | null;
}

/**
 * The tenant that a command is for: `wanted` by id or name, else the only one there is. undefined: the key's own (a
 * tenant's key sees no others), or all of them where the command can show all. Throws `not_found`, and `invalid_request`
 * where one has to be said.
 */
export async function tenantFor(
  client: Client,
  wanted: string | undefined,
  needed: boolean,
): Promise<string | undefined> {
  if (wanted !== undefined && TENANT_ID.test(wanted)) return wanted;
  const query = wanted === undefined ? `limit=${NAMES_SHOWN}` : `name=${encodeURIComponent(wanted)}`;
  const found = await list(client, query);
  if (found === null) {
    if (wanted === undefined) return undefined;
    throw new CubitError('invalid_request', 'You belong to one tenant and act for it: leave --tenant out.');
  }
  const [first, second] = found.items;
  if (first !== undefined && second === undefined) return first.tenantId;
  if (wanted === undefined) return needed ? choose(found) : undefined;
  if (first === undefined)
    throw new CubitError('not_found', `There is no tenant ${wanted}. \`cubit tenant list\` has all.`);
  const ids = found.items.map((tenant) => tenant.tenantId).join(', ');
  throw new CubitError('invalid_request', `Several tenants are called ${wanted}: give the id of one, ${ids}.`);
}

async function list(client: Client, query: string): Promise<Tenants | null> {
  try {
    return (await client.call('GET', `/tenants?${query}`)) as Tenants;
  } catch (error) {
    if (error instanceof CubitError && error.code === 'forbidden') return null;
    throw error;
  }
}

function choose({ items, nextCursor }: Tenants): never {
  const names = items.map((tenant) => tenant.name).join(', ');
  throw new CubitError(
    'invalid_request',
    items.length === 0
      ? 'There is no tenant yet: make one with `cubit tenant create <name>`.'
      : `There are several tenants: say which with --tenant (${names}${nextCursor === null ? '' : ', …'}).`,
  );
}
