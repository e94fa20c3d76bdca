import { expect, test } from 'vitest';
import { CubitError } from '../core/errors.ts';
import type { Client } from './client.ts';
import { tenantFor } from './tenant.ts';

const ID = 't-0123456789abcdef';

/** A server with these tenants; null: one that refuses the list to a tenant's key. */
function serverWith(names: readonly string[] | null): Client {
  const tenants = (names ?? []).map((name, n) => ({ tenantId: `t-${n}`, name }));
  return {
    url: '',
    call: async (_method, path) => {
      if (names === null) throw new CubitError('forbidden', 'no');
      const name = new URL(path, 'http://x').searchParams.get('name');
      return { items: tenants.filter((tenant) => name === null || tenant.name === name), nextCursor: null };
    },
  };
}

test.each([
  ['an id is taken as it is', ['acme', 'demo'], ID, true, ID],
  ['a name is looked up', ['acme', 'demo'], 'demo', false, 't-1'],
  ['a name that begins like an id is a name', ['t-shirts', 'demo'], 't-shirts', true, 't-0'],
  ['the only tenant need not be said', ['acme'], undefined, true, 't-0'],
  ['of several none is chosen where all can be shown', ['acme', 'demo'], undefined, false, undefined],
  ['a tenant’s own key says itself whose it is', null, undefined, false, undefined],
] as const)('%s', async (_case, names, wanted, needed, tenantId) => {
  expect(await tenantFor(serverWith(names), wanted, needed)).toBe(tenantId);
});

test.each([
  ['several, and one is needed', ['acme', 'demo'], undefined, /several tenants.*--tenant \(acme, demo\)/],
  ['none yet', [], undefined, /no tenant yet.*cubit tenant create/],
  ['an unknown name', ['acme'], 'demo', /no tenant demo/],
  ['a name that two have: money must not go to either by chance', ['acme', 'acme'], 'acme', /t-0, t-1/],
  ['a name, with a key that sees no others', null, 'demo', /leave --tenant out/],
] as const)('%s is refused with what to do', async (_case, names, wanted, message) => {
  await expect(tenantFor(serverWith(names), wanted, true)).rejects.toThrow(message);
});
