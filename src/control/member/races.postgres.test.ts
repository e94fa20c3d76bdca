import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { openStore } from '../../store/store.ts';
import { OPERATOR, TestControl } from '../fixture.ts';
import { memberAccept } from './accept.ts';
import { memberInvite } from './invite.ts';
import { memberRemove } from './remove.ts';
import { memberUpdate } from './update.ts';

/** Members under two control planes that share one PostgreSQL. */
const ROUNDS = 6;

async function twoControls(): Promise<[TestControl, TestControl]> {
  const database = await testDatabase();
  return [new TestControl(await openStore(database)), new TestControl(await openStore(database))];
}

const codesOf = (ends: readonly PromiseSettledResult<unknown>[]) =>
  ends.map((end) => (end.status === 'fulfilled' ? 'done' : (end.reason as { code: string }).code)).toSorted();

async function ownersOf(control: TestControl, tenantId: string): Promise<number> {
  const owners = control.store.db
    .selectFrom('memberships')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('role', '=', 'owner')
    .where('removed_at_ms', 'is', null);
  return (await owners.execute()).length;
}

test('of owners who remove or demote each other at once, one stays', async () => {
  const [a, b] = await twoControls();
  for (let round = 0; round < ROUNDS; round++) {
    const { tenantId } = await a.tenant('0');
    const one = await a.member(tenantId, 'owner', 'one');
    const two = await a.member(tenantId, 'owner', 'two');
    const ends = await Promise.allSettled([
      round % 2 === 0
        ? a.call(memberRemove, one.actor, { memberId: two.memberId })
        : a.call(memberUpdate, one.actor, { memberId: two.memberId, role: 'viewer' }),
      round % 3 === 0
        ? b.call(memberRemove, two.actor, { memberId: one.memberId })
        : b.call(memberUpdate, two.actor, { memberId: one.memberId, role: 'admin' }),
    ]);
    expect(codesOf(ends)).toEqual(['conflict', 'done']);
    expect(await ownersOf(a, tenantId)).toBe(1);
  }
  for (const control of [a, b]) await control.store.close();
});

test('an invitation that is taken many times at once makes one member', async () => {
  const [a, b] = await twoControls();
  const { tenantId } = await a.tenant('0');
  const input = { tenantId, email: 'ada@example.com', role: 'viewer' } as const;
  const { invitation } = await a.call(memberInvite, OPERATOR, input);
  const ends = await Promise.allSettled(
    [a, b, a, b].map((control) => control.call(memberAccept, { kind: 'anyone' }, { invitation: invitation! })),
  );
  expect(codesOf(ends)).toEqual(['conflict', 'conflict', 'conflict', 'done']);
  expect(await a.store.db.selectFrom('memberships').selectAll().execute()).toHaveLength(1);
  for (const control of [a, b]) await control.store.close();
});

test('of invitations of one person at once, one is open', async () => {
  const [a, b] = await twoControls();
  const { tenantId } = await a.tenant('0');
  const input = { tenantId, email: 'ada@example.com', role: 'viewer' } as const;
  const sent = await Promise.all([a, b, a, b].map((control) => control.call(memberInvite, OPERATOR, input)));
  const ends = await Promise.allSettled(
    sent.map(({ invitation }) => a.call(memberAccept, { kind: 'anyone' }, { invitation: invitation! })),
  );
  expect(codesOf(ends)).toEqual(['conflict', 'conflict', 'conflict', 'done']);
  for (const control of [a, b]) await control.store.close();
});
