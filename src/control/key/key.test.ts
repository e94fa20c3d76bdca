import { expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { sha256Hex } from '../operator-token.ts';
import type { Actor } from '../verb.ts';
import { keyCreate } from './create.ts';
import { keyList } from './list.ts';
import { keyRevoke } from './revoke.ts';
import { keySnapshots } from './shares.ts';
import { keyUpdate } from './update.ts';

test('a key is shown once and stored as its hash', async () => {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  const made = await control.call(keyCreate, manager, { name: 'app' });
  expect(made).toMatchObject({ tenantId, name: 'app', scope: 'inference', hint: made.key?.slice(0, 13) });
  const row = await control.store.db
    .selectFrom('api_keys')
    .selectAll()
    .where('id', '=', made.keyId)
    .executeTakeFirstOrThrow();
  expect(row.hash).toBe(sha256Hex(made.key!));
  expect(JSON.stringify(row)).not.toContain(made.key);
  const { items } = await control.call(keyList, manager, { limit: 200 });
  expect(items.find((key) => key.keyId === made.keyId)).not.toHaveProperty('key');
});

test.each([
  [{}, 'inference', 'inference'],
  [{ scope: 'inference' }, 'inference', 'inference'],
  [{ scope: 'manage' }, 'admin', 'manage'],
  [{ role: 'developer' }, 'developer', 'manage'],
  [{ role: 'viewer', scope: 'manage' }, 'viewer', 'manage'],
] as const)('asked for %j it has the role %s and the scope %s', async (asked, role, scope) => {
  const control = await testControl();
  const { manager, tenantId } = await control.tenant();
  const made = await control.call(keyCreate, manager, { name: 'app', ...asked });
  expect(made).toMatchObject({ role, scope });
  const { body } = await control.http('GET', '/api/v1/me', { token: made.key! });
  expect(body).toMatchObject({ actor: `key:${made.keyId}`, role, tenant: { tenantId }, member: null });
});

test.each([
  [{ role: 'inference', scope: 'manage' }, 'scope'],
  [{ role: 'viewer', scope: 'inference' }, 'scope'],
  [{ role: 'owner' }, 'role'],
  [{ role: 'operator' }, 'role'],
  [{ scope: 'all' }, 'scope'],
])('asked for %j it is refused', async (asked, field) => {
  const control = await testControl();
  const { manager } = await control.tenant();
  const { code, details } = await refusal(control.call(keyCreate, manager, { name: 'app', ...asked } as never));
  expect(code).toBe('invalid_request');
  expect(details['faults']).toMatchObject([{ field }]);
});

test('nobody makes or revokes a key above their own role', async () => {
  const control = await testControl();
  const { tenantId, manager, reader } = await control.tenant();
  const { actor } = await control.member(tenantId, 'developer');
  for (const role of ['admin', 'finance'] as const) {
    expect((await refusal(control.call(keyCreate, actor, { name: 'x', role }))).code).toBe('forbidden');
  }
  for (const role of ['inference', 'developer', 'viewer'] as const) {
    expect(await control.call(keyCreate, actor, { name: 'x', role })).toMatchObject({ role });
  }
  const keyOf = (one: Actor) => (one.kind === 'key' ? one.keyId : '');
  expect((await refusal(control.call(keyRevoke, actor, { keyId: keyOf(manager) }))).code).toBe('forbidden');
  expect(await control.call(keyRevoke, actor, { keyId: keyOf(reader) })).toMatchObject({ role: 'inference' });
});

test('the operator has to say for which tenant', async () => {
  const control = await testControl();
  expect((await refusal(control.call(keyCreate, OPERATOR, { name: 'x' }))).code).toBe('invalid_request');
  expect((await refusal(control.call(keyCreate, OPERATOR, { name: 'x', tenantId: 't-none' }))).code).toBe('not_found');
});

test('revoking is at once, for ever and tells the gateway', async () => {
  const control = await testControl();
  const { manager } = await control.tenant();
  const { keyId } = await control.call(keyCreate, manager, { name: 'app' });
  const changes = control.changes;
  const revoked = await control.call(keyRevoke, manager, { keyId });
  expect(revoked.revokedAtMs).toBe(control.nowMs);
  expect(control.changes).toBe(changes + 1);
  control.nowMs += 1000;
  expect(await control.call(keyRevoke, manager, { keyId })).toEqual(revoked);
  expect((await refusal(control.call(keyRevoke, manager, { keyId: 'key-none' }))).code).toBe('not_found');
  const { items } = await control.call(auditList, manager, { subject: keyId, verb: 'key.revoke' });
  expect(items).toHaveLength(1);
  expect(items[0]?.actor).toMatch(/^key:key-/);
});

test('limits and weight are set, changed, taken away, shown, and reach the gateway with the common share of a label', async () => {
  const control = await testControl();
  const { manager } = await control.tenant();
  const made = await control.call(keyCreate, manager, { name: 'app', rpm: 60, weight: 2.5, label: ['share=web'] });
  expect(made).toMatchObject({ rpm: 60, weight: 2.5, tpm: null, unitSecondsPerMinute: null, concurrency: null });
  const other = await control.call(keyCreate, manager, { name: 'b', label: ['share=web'] });
  const changes = control.changes;
  const changed = await control.call(keyUpdate, manager, {
    keyId: made.keyId,
    tpm: 1_000,
    unitSecondsPerMinute: 1.5,
    concurrency: 4,
    unlimit: ['rpm'],
  });
  expect(changed).toMatchObject({ rpm: null, tpm: 1_000, unitSecondsPerMinute: 1.5, concurrency: 4, weight: 2.5 });
  expect(control.changes).toBe(changes + 1);
  const rows = await control.store.db.selectFrom('api_keys').selectAll().where('name', 'in', ['app', 'b']).execute();
  const known = [...keySnapshots(rows).values()];
  const share = { id: `${made.tenantId}/share=web`, weight: 2.5 };
  expect(known.find(({ keyId }) => keyId === made.keyId)).toEqual({
    keyId: made.keyId,
    tenantId: made.tenantId,
    share,
    limits: { requestsPerMinute: undefined, tokensPerMinute: 1_000, workUsPerMinute: 1_500_000, concurrency: 4 },
  });
  expect(known.find(({ keyId }) => keyId === other.keyId)).toEqual({
    keyId: other.keyId,
    tenantId: other.tenantId,
    share,
  });
});

test.each([{ rpm: 0 }, { tpm: 1.5 }, { weight: 0 }, { weight: -1 }, { concurrency: -2 }, { unitSecondsPerMinute: 0 }])(
  'refuses %j',
  async (bad) => {
    const control = await testControl();
    const { manager } = await control.tenant();
    expect((await refusal(control.call(keyCreate, manager, { name: 'x', ...bad }))).code).toBe('invalid_request');
  },
);
