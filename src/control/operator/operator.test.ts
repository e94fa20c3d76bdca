import { expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, OPERATOR_TOKEN, refusal, testControl } from '../fixture.ts';
import { memberList } from '../member/list.ts';
import { memberRemove } from '../member/remove.ts';
import { tenantCreate } from '../tenant/create.ts';
import { operatorInvite } from './invite.ts';
import { operatorList } from './list.ts';
import { operatorRemove } from './remove.ts';

test('a named operator does what the operator token does, and the audit says who it was', async () => {
  const control = await testControl();
  const boss = await control.member(null, 'operator', 'boss');
  const made = await control.http('POST', '/api/v1/tenants', { token: boss.token, body: { name: 'acme' } });
  expect(made.status).toBe(200);
  const { tenantId } = made.body as { tenantId: string };
  const { items } = await control.call(auditList, OPERATOR, { tenantId });
  expect(items).toMatchObject([
    { verb: 'tenant.create', actor: `operator:${boss.memberId}`, actorEmail: 'boss@example.com' },
  ]);
  const me = await control.http('GET', '/api/v1/me', { token: boss.token });
  expect(me.body).toMatchObject({ role: 'operator', tenant: null, member: { email: 'boss@example.com' } });
  expect(await control.call(operatorList, boss.actor, {})).toMatchObject({ items: [{ memberId: boss.memberId }] });
  // In no tenant's list.
  expect(await control.call(memberList, OPERATOR, {})).toEqual({ items: [], nextCursor: null });
});

test('one who was removed stops at once; the operator token goes on', async () => {
  const control = await testControl();
  const boss = await control.member(null, 'operator', 'boss');
  expect(await control.call(operatorRemove, boss.actor, { memberId: boss.memberId })).toMatchObject({
    removedAtMs: control.nowMs,
  });
  expect((await control.http('GET', '/api/v1/tenants', { token: boss.token })).status).toBe(401);
  expect((await control.http('GET', '/api/v1/tenants', { token: OPERATOR_TOKEN })).status).toBe(200);
  expect((await refusal(control.call(operatorRemove, OPERATOR, { memberId: boss.memberId }))).code).toBe('not_found');
});

test('a member of a tenant is no operator, and an operator none of its members', async () => {
  const control = await testControl();
  const { tenantId } = await control.call(tenantCreate, OPERATOR, { name: 'acme' });
  const owner = await control.member(tenantId, 'owner');
  const boss = await control.member(null, 'operator', 'boss');
  expect((await refusal(control.call(operatorRemove, OPERATOR, { memberId: owner.memberId }))).code).toBe('not_found');
  expect((await refusal(control.call(memberRemove, OPERATOR, { memberId: boss.memberId }))).code).toBe('not_found');
  expect((await refusal(control.call(operatorInvite, owner.actor, { email: 'x@example.com' }))).code).toBe('forbidden');
});

test('one person may be both', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const member = await control.member(tenantId, 'viewer', 'ada');
  const operator = await control.member(null, 'operator', 'ada');
  expect(operator.memberId).not.toBe(member.memberId);
  expect((await control.http('GET', '/api/v1/me', { token: member.token })).body).toMatchObject({ role: 'viewer' });
  expect(await control.store.db.selectFrom('people').selectAll().execute()).toHaveLength(1);
});
