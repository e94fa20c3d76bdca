import { expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { sha256Hex } from '../operator-token.ts';
import { keyCreate } from './create.ts';
import { keyList } from './list.ts';
import { keyRevoke } from './revoke.ts';

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
