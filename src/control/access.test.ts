import { afterAll, describe, expect, test } from 'vitest';
import { MEMBER_ROLES, may, PERMISSIONS, ROLES, type Role, rolesWith } from '../core/roles.ts';
import { openStore } from '../store/store.ts';
import { settle } from './billing/settle.ts';
import { newId } from './call.ts';
import { OPERATOR, refusal, TestControl } from './fixture.ts';
import { memberInvite } from './member/invite.ts';
import { verbs } from './registry.ts';
import type { Actor } from './verb.ts';

/** Every verb against every role, from the table of core/roles.ts. Nothing here names a verb: a new one is in it. */
describe('a role is let in by the permission of the verb, and by nothing else', async () => {
  const control = new TestControl(await openStore({ path: ':memory:' }));
  afterAll(() => control.store.close());
  const { tenantId, reader } = await control.tenant();
  const actors = new Map<Role, Actor>([['inference', reader]]);
  for (const role of MEMBER_ROLES) actors.set(role, (await control.member(tenantId, role)).actor);
  actors.set('operator', (await control.member(null, 'operator')).actor);

  const cases = verbs.flatMap((verb) => ROLES.map((role) => [verb.name, role, verb] as const));
  test.each(cases)('%s by %s', async (_name, role, verb) => {
    const actor = actors.get(role)!;
    const answer = await control.call(verb, actor, {}).catch((error: unknown) => error);
    const needs = verb.access;
    if (needs === 'anyone' || may(role, needs)) {
      expect(answer).not.toMatchObject({ code: 'forbidden' });
    } else {
      expect(answer).toMatchObject({ code: 'forbidden', details: { needs, roles: rolesWith(needs), role } });
    }
  });

  test('nobody in particular is let in only where anyone is', async () => {
    for (const verb of verbs) {
      const answer = await control.call(verb, { kind: 'anyone' }, {}).catch((error: unknown) => error);
      expect(answer, verb.name).toMatchObject({ code: verb.access === 'anyone' ? 'invalid_request' : 'forbidden' });
    }
    expect(verbs.filter((verb) => verb.access === 'anyone').map((verb) => verb.name)).toEqual(['member.accept']);
  });

  test('every permission opens something', () => {
    const needed = new Set<string>(verbs.map((verb) => verb.access));
    // `use` is the gateway's, `manage_owners` is asked for when a role is given or taken.
    const elsewhere = ['use', 'manage_owners'];
    expect(Object.keys(PERMISSIONS).filter((permission) => !needed.has(permission))).toEqual(elsewhere);
  });
});

/** Ids that belong to another tenant, for each verb that takes one. */
describe('what belongs to another tenant answers like what does not exist', async () => {
  // One world for all of them, so it is not closed with the first test that uses it.
  const control = new TestControl(await openStore({ path: ':memory:' }));
  afterAll(() => control.store.close());
  const owner = await control.tenant();
  const stranger = await control.tenant();
  const { endpointId, groups } = await control.endpoint(owner.manager);
  await control.provisioned();
  const { groupId } = groups[0]!;
  const order = await control.store.db.selectFrom('orders').selectAll().executeTakeFirstOrThrow();
  control.nowMs += 2 * 3_600_000;
  await settle({ ...control.deps, newId });
  const bill = await control.store.db.selectFrom('bills').selectAll().executeTakeFirstOrThrow();
  const keyId = owner.reader.kind === 'key' ? owner.reader.keyId : '';
  const { tenantId } = owner;
  const { memberId } = await control.member(tenantId, 'viewer');
  const token = await control.store.db.selectFrom('access_tokens').select('id').executeTakeFirstOrThrow();
  const email = 'new@example.com';
  const { invitationId } = await control.call(memberInvite, OPERATOR, { tenantId, email, role: 'viewer' });
  const foreign: Record<string, unknown> = {
    'tenant.show': { tenantId },
    'key.create': { tenantId, name: 'x' },
    'key.list': { tenantId },
    'key.revoke': { keyId },
    'member.invite': { tenantId, email, role: 'viewer' },
    'member.list': { tenantId },
    'member.update': { memberId, role: 'viewer' },
    'member.remove': { memberId },
    'invitation.list': { tenantId },
    'invitation.revoke': { invitationId },
    'token.list': { memberId },
    'token.revoke': { tokenId: token.id },
    'endpoint.create': { tenantId, name: 'x', models: [{ modelId: 'alpha', units: 1 }] },
    'endpoint.preview': { tenantId, models: [{ modelId: 'alpha', units: 1 }] },
    'endpoint.list': { tenantId },
    'endpoint.show': { endpointId },
    'endpoint.update': { endpointId, maxWaitMs: 0 },
    'endpoint.delete': { endpointId },
    'order.new': { endpointId, units: 1 },
    'order.resize': { groupId, units: 2 },
    'order.renew': { groupId },
    'order.preview-new': { endpointId, units: 1 },
    'order.preview-resize': { groupId, units: 2 },
    'order.preview-renew': { groupId },
    'order.preview-unsubscribe': { groupId },
    'order.unsubscribe': { groupId },
    'order.list': { tenantId },
    'order.show': { orderId: order.id },
    'group.list': { tenantId },
    'group.show': { groupId },
    'group.auto-renew': { groupId, enabled: true },
    'notice.list': { tenantId },
    'replica.list': { endpointId },
    'audit.list': { tenantId },
    'wallet.show': { tenantId },
    'wallet.entries': { tenantId },
    'usage.list': { tenantId },
    'usage.summary': { tenantId },
    'statement.show': { tenantId, month: '2026-04' },
    'bill.list': { tenantId },
    'bill.preview': { tenantId },
    'bill.show': { billId: bill.id },
    'calculator.run': { endpointId },
  };
  const nobodys = ['model.list', 'model.show', 'template.list', 'template.show', 'me.show', 'token.create'];

  test('every verb that a tenant may use is in this table', () => {
    const tenants = verbs.filter(({ access }) => access !== 'operate' && access !== 'anyone').map((verb) => verb.name);
    expect([...Object.keys(foreign), ...nobodys].sort()).toEqual([...tenants].sort());
  });

  test.each(Object.entries(foreign))('%s', async (name, input) => {
    const verb = verbs.find((one) => one.name === name)!;
    const answer = await refusal(control.call(verb, stranger.manager, input as never));
    expect(answer.code).toBe('not_found');
  });

  test('lists of a stranger are empty, the operator sees all', async () => {
    for (const name of ['endpoint.list', 'order.list', 'group.list', 'replica.list', 'bill.list']) {
      const verb = verbs.find((one) => one.name === name)!;
      expect(await control.call(verb, stranger.manager, {}), name).toMatchObject({ items: [] });
      expect((await control.call(verb, OPERATOR, {})) as object, name).toMatchObject({ items: [{}] });
    }
    expect(
      (await control.call(verbs.find((one) => one.name === 'group.show')!, owner.reader, { groupId })) as object,
    ).toMatchObject({
      groupId,
      state: 'active',
    });
  });
});
