import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { covers, MEMBER_ROLES, type MemberRole, may } from '../../core/roles.ts';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, type TestControl, testControl } from '../fixture.ts';
import { invitationList } from '../invitation/list.ts';
import { invitationRevoke } from '../invitation/revoke.ts';
import { meShow } from '../me/show.ts';
import type { Actor } from '../verb.ts';
import { memberAccept } from './accept.ts';
import { memberInvite } from './invite.ts';
import { memberList } from './list.ts';
import { memberRemove } from './remove.ts';
import { memberUpdate } from './update.ts';

const ANYONE: Actor = { kind: 'anyone' };
const HOUR_MS = 3_600_000;
const email = 'ada@example.com';

const invite = (
  control: TestControl,
  actor: Actor,
  role: MemberRole,
  more: { tenantId?: string; email?: string } = {},
) => control.call(memberInvite, actor, { email, role, ...more });

const accept = (control: TestControl, invitation: string | null) =>
  control.call(memberAccept, ANYONE, { invitation: invitation! });

/** Rows that a refused call must leave as they are. */
async function everybody(control: TestControl) {
  const { db } = control.store;
  const tables = ['people', 'memberships', 'invitations', 'access_tokens', 'audit'] as const;
  return Promise.all(tables.map((table) => db.selectFrom(table).selectAll().orderBy('id').execute()));
}

async function refusedWithoutTrace(control: TestControl, call: () => Promise<unknown>) {
  const before = await everybody(control);
  const answer = await refusal(call());
  expect(await everybody(control)).toEqual(before);
  return answer;
}

describe('an invitation', () => {
  test('makes a member, who may sign in at once, and is stored as its hash', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const owner = await control.member(tenantId, 'owner');
    const sent = await control.call(memberInvite, owner.actor, {
      email: 'Ada@Example.com',
      name: 'Ada',
      role: 'admin',
    });
    expect(sent).toMatchObject({
      tenantId,
      email,
      role: 'admin',
      state: 'open',
      invitedBy: `member:${owner.memberId}`,
    });
    expect(sent.invitation).toMatch(/^inv-cubit-[\w-]{43}$/);
    expect(sent.expiresAtMs).toBe(control.nowMs + 72 * HOUR_MS);
    const member = await accept(control, sent.invitation);
    expect(member).toMatchObject({ tenantId, email, name: 'Ada', role: 'admin' });
    const { status, body } = await control.http('GET', '/api/v1/me', { token: member.token!.secret });
    expect(status).toBe(200);
    expect(body).toMatchObject({ actor: `member:${member.memberId}`, role: 'admin', tenant: { tenantId } });
    const rows = JSON.stringify(await everybody(control));
    expect(rows).not.toContain(sent.invitation);
    expect(rows).not.toContain(member.token?.secret);
    const { items } = await control.call(auditList, owner.actor, { subject: member.memberId });
    expect(items).toMatchObject([{ verb: 'member.accept', actor: `member:${member.memberId}`, actorEmail: email }]);
  });

  test('needs no key or token to be taken over HTTP, whatever is sent along', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const { invitation } = await invite(control, OPERATOR, 'owner', { tenantId });
    const body = { invitation, name: 'Ada L.' };
    const reply = await control.http('POST', '/api/v1/members/accept', { token: 'nonsense', body });
    expect(reply.status).toBe(200);
    expect(reply.body).toMatchObject({ name: 'Ada L.', role: 'owner' });
  });

  test('is good once', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const { invitation } = await invite(control, OPERATOR, 'viewer', { tenantId });
    await accept(control, invitation);
    const { code, details } = await refusedWithoutTrace(control, () => accept(control, invitation));
    expect([code, details['reason']]).toEqual(['conflict', 'accepted']);
  });

  test('expires, to the millisecond', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const { invitation, invitationId } = await invite(control, OPERATOR, 'viewer', { tenantId });
    control.nowMs += 72 * HOUR_MS;
    const { code, details } = await refusedWithoutTrace(control, () => accept(control, invitation));
    expect([code, details['reason']]).toEqual(['conflict', 'expired']);
    expect((await control.call(invitationList, OPERATOR, { tenantId })).items).toMatchObject([
      { invitationId, state: 'expired' },
    ]);
    control.nowMs -= 1;
    expect(await accept(control, invitation)).toMatchObject({ email });
  });

  test('is withdrawn by invitation.revoke, by the next one to the same address, and with its writer', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const admin = await control.member(tenantId, 'admin');
    const first = await invite(control, admin.actor, 'viewer');
    const second = await invite(control, admin.actor, 'developer');
    const another = await invite(control, OPERATOR, 'viewer', { tenantId, email: 'bob@example.com' });
    expect((await refusal(accept(control, first.invitation))).details['reason']).toBe('revoked');
    const { invitationId } = another;
    expect(await control.call(invitationRevoke, admin.actor, { invitationId })).toMatchObject({ state: 'revoked' });
    expect((await refusal(accept(control, another.invitation))).details['reason']).toBe('revoked');
    await control.call(memberRemove, OPERATOR, { memberId: admin.memberId });
    expect((await refusal(accept(control, second.invitation))).details['reason']).toBe('revoked');
  });

  test('that never was is not found', async () => {
    const control = await testControl();
    expect((await refusal(accept(control, 'inv-cubit-nothing'))).code).toBe('not_found');
  });

  test('to who is a member already is refused, also when it was sent before', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const { actor, email: ownersEmail } = await control.member(tenantId, 'owner');
    const again = () => invite(control, actor, 'viewer', { email: ownersEmail.toUpperCase() });
    expect((await refusedWithoutTrace(control, again)).details['reason']).toBe('is_member');
  });

  test('to an owner’s role is neither replaced nor withdrawn by an admin', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const admin = await control.member(tenantId, 'admin');
    const { invitation, invitationId } = await invite(control, OPERATOR, 'owner', { tenantId });
    for (const call of [
      () => invite(control, admin.actor, 'viewer'),
      () => control.call(invitationRevoke, admin.actor, { invitationId }),
    ])
      expect((await refusedWithoutTrace(control, call)).code).toBe('forbidden');
    expect(await accept(control, invitation)).toMatchObject({ role: 'owner' });
  });

  test('a replay of the request shows no secret', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const input = { tenantId, email, role: 'viewer' } as const;
    const first = await control.call(memberInvite, OPERATOR, input, 'k');
    expect(await control.call(memberInvite, OPERATOR, input, 'k')).toEqual({ ...first, invitation: null });
    const taken = await control.call(memberAccept, ANYONE, { invitation: first.invitation! }, 'k');
    const again = await control.call(memberAccept, ANYONE, { invitation: first.invitation! }, 'k');
    expect(again).toEqual({ ...taken, token: null });
  });

  test.each([
    ['no address', { email: 'ada', role: 'viewer' }, 'email'],
    ['an empty address', { email: '', role: 'viewer' }, 'email'],
    ['an address that is too long', { email: `${'a'.repeat(250)}@example.com`, role: 'viewer' }, 'email'],
    ['an unknown role', { email, role: 'king' }, 'role'],
    ['a role that no person has', { email, role: 'inference' }, 'role'],
    ['the operator’s role', { email, role: 'operator' }, 'role'],
    ['no role', { email }, 'role'],
    ['a time in the past', { email, role: 'viewer', expiresInHours: 0 }, 'expiresInHours'],
  ])('%s is refused', async (_case, input, field) => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const owner = await control.member(tenantId, 'owner');
    const call = () => control.call(memberInvite, owner.actor, input as never);
    const { code, details } = await refusedWithoutTrace(control, call);
    expect(code).toBe('invalid_request');
    expect(details['faults']).toMatchObject([{ field }]);
  });
});

describe('one person in two tenants', () => {
  test('is one person, two members, and neither tenant sees the other', async () => {
    const control = await testControl();
    const [a, b] = [await control.tenant(), await control.tenant()];
    const inA = await accept(control, (await invite(control, OPERATOR, 'owner', { tenantId: a.tenantId })).invitation);
    const sent = await control.call(memberInvite, OPERATOR, {
      tenantId: b.tenantId,
      email,
      name: 'Guest',
      role: 'viewer',
    });
    const inB = await accept(control, sent.invitation);
    expect(await control.store.db.selectFrom('people').selectAll().execute()).toHaveLength(1);
    expect(inB.memberId).not.toBe(inA.memberId);
    expect((await control.call(memberList, b.manager, {})).items).toMatchObject([{ name: 'Guest', role: 'viewer' }]);
    const me = await control.http('GET', '/api/v1/me', { token: inB.token!.secret });
    expect(me.body).toMatchObject({ role: 'viewer', tenant: { tenantId: b.tenantId }, member: { name: 'Guest' } });
    expect(JSON.stringify(me.body)).not.toContain(a.tenantId);
    // Leaving one tenant is not leaving the other.
    await control.call(memberRemove, b.manager, { memberId: inB.memberId });
    expect((await control.http('GET', '/api/v1/me', { token: inB.token!.secret })).status).toBe(401);
    expect((await control.http('GET', '/api/v1/me', { token: inA.token!.secret })).status).toBe(200);
  });

  test('who was removed may be invited again, as somebody new', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const before = await control.member(tenantId, 'viewer');
    await control.call(memberRemove, OPERATOR, { memberId: before.memberId });
    const after = await control.member(tenantId, 'viewer');
    expect(after.memberId).not.toBe(before.memberId);
    expect((await control.http('GET', '/api/v1/me', { token: before.token })).status).toBe(401);
    const { items } = await control.call(memberList, OPERATOR, { tenantId, removed: true });
    expect(items).toMatchObject([{ memberId: before.memberId, removedAtMs: control.nowMs }]);
  });
});

describe('who may give and take what', () => {
  test.each(MEMBER_ROLES.flatMap((by) => MEMBER_ROLES.map((to) => [by, to] as const)))('%s, to %s', async (by, to) => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    await control.member(tenantId, 'owner', 'first-owner');
    const { actor } = await control.member(tenantId, by, 'giver');
    const { memberId } = await control.member(tenantId, to, 'taker');
    const allowed = may(by, 'manage_members') && covers(by, to);
    const calls = [
      () => invite(control, actor, to),
      () => control.call(memberUpdate, actor, { memberId, role: 'viewer' }),
      () => control.call(memberRemove, actor, { memberId }),
    ];
    for (const call of calls) {
      if (allowed) await call();
      else expect((await refusedWithoutTrace(control, call)).code).toBe('forbidden');
    }
  });

  test('nobody gives a role above their own: an admin makes no owner', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const admin = await control.member(tenantId, 'admin');
    const { memberId } = await control.member(tenantId, 'viewer');
    const call = () => control.call(memberUpdate, admin.actor, { memberId, role: 'owner' });
    const { code, details } = await refusedWithoutTrace(control, call);
    expect(code).toBe('forbidden');
    expect(details).toEqual({ needs: ['manage_owners'], roles: ['owner', 'operator'], role: 'admin' });
  });

  test('nobody changes their own role', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    await control.member(tenantId, 'owner', 'another');
    const { actor, memberId } = await control.member(tenantId, 'owner');
    const call = () => control.call(memberUpdate, actor, { memberId, role: 'viewer' });
    const { code, details } = await refusedWithoutTrace(control, call);
    expect([code, details['reason']]).toEqual(['forbidden', 'own_role']);
  });

  test('a new role counts at once for tokens that are there', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const { memberId, token } = await control.member(tenantId, 'viewer');
    expect((await control.http('GET', '/api/v1/bills', { token })).status).toBe(403);
    await control.call(memberUpdate, OPERATOR, { memberId, role: 'finance' });
    expect((await control.http('GET', '/api/v1/bills', { token })).status).toBe(200);
    expect((await control.http('GET', '/api/v1/me', { token })).body).toMatchObject({ role: 'finance' });
  });

  test('the audit says who, from what and to what, and shows a tenant no operator’s address', async () => {
    const control = await testControl();
    const { tenantId, manager } = await control.tenant();
    const boss = await control.member(null, 'operator', 'boss');
    const { memberId } = await control.member(tenantId, 'viewer');
    await control.call(memberUpdate, boss.actor, { memberId, role: 'finance' });
    const find = async (actor: Actor) =>
      (await control.call(auditList, actor, { tenantId, verb: 'member.update' })).items;
    const row = { actor: `operator:${boss.memberId}`, detail: { from: 'viewer', to: 'finance' } };
    expect(await find(manager)).toMatchObject([{ ...row, actorEmail: null }]);
    expect(await find(OPERATOR)).toMatchObject([{ ...row, actorEmail: 'boss@example.com' }]);
  });
});

describe('the last owner', () => {
  test('is neither removed nor made less, by whom ever', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant();
    const owner = await control.member(tenantId, 'owner');
    const { memberId } = owner;
    for (const call of [
      () => control.call(memberRemove, owner.actor, { memberId }),
      () => control.call(memberRemove, OPERATOR, { memberId }),
      () => control.call(memberUpdate, OPERATOR, { memberId, role: 'admin' }),
    ]) {
      const { code, details } = await refusedWithoutTrace(control, call);
      expect([code, details['reason']]).toEqual(['conflict', 'last_owner']);
    }
    const other = await control.member(tenantId, 'owner', 'other');
    expect(await control.call(memberRemove, owner.actor, { memberId })).toMatchObject({ removedAtMs: control.nowMs });
    expect((await refusal(control.call(memberRemove, OPERATOR, { memberId: other.memberId }))).code).toBe('conflict');
  });

  test('random changes by random members never leave a tenant without an owner', async () => {
    const role = fc.constantFrom(...MEMBER_ROLES);
    const change = fc.record({ by: fc.nat(3), at: fc.nat(3), to: fc.option(role, { nil: null }) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const control = await testControl();
        const { tenantId } = await control.tenant('0');
        const people = [];
        for (const start of ['owner', 'owner', 'admin', 'viewer'] as const)
          people.push(await control.member(tenantId, start, `p${people.length}`));
        for (const { by, at, to } of changes) {
          const { memberId } = people[at]!;
          const live = await control.store.db
            .selectFrom('memberships')
            .select('role')
            .where('id', '=', people[by]!.memberId)
            .where('removed_at_ms', 'is', null)
            .executeTakeFirst();
          if (live === undefined) continue;
          const actor = { ...people[by]!.actor, role: live.role } as Actor;
          const call =
            to === null
              ? control.call(memberRemove, actor, { memberId })
              : control.call(memberUpdate, actor, { memberId, role: to });
          await call.catch((error: { code: string }) =>
            expect(['forbidden', 'conflict', 'not_found']).toContain(error.code),
          );
          const { items } = await control.call(memberList, OPERATOR, { tenantId });
          expect(items.filter((member) => member.role === 'owner').length).toBeGreaterThan(0);
        }
      }),
      { numRuns: 5 },
    );
  });
});

test('who am I: a key, the operator token', async () => {
  const control = await testControl();
  const { tenantId, reader } = await control.tenant();
  expect(await control.call(meShow, reader, {})).toMatchObject({
    role: 'inference',
    tenant: { tenantId, name: 'acme' },
    member: null,
    permissions: ['view', 'view_money', 'use'],
  });
  expect(await control.call(meShow, OPERATOR, {})).toMatchObject({ actor: 'operator', role: 'operator', tenant: null });
});
