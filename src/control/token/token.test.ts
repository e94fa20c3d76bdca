import { expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { tokenCreate } from './create.ts';
import { tokenList } from './list.ts';
import { tokenRevoke } from './revoke.ts';

const DAY_MS = 86_400_000;

test('a token is shown once, stored as its hash, and is its member’s', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const viewer = await control.member(tenantId, 'viewer');
  const made = await control.call(tokenCreate, viewer.actor, { name: 'laptop' }, 'k');
  expect(made).toMatchObject({ memberId: viewer.memberId, name: 'laptop', expiresAtMs: control.nowMs + 90 * DAY_MS });
  expect(made.secret).toMatch(/^pt-cubit-[\w-]{43}$/);
  expect(made.hint).toBe(made.secret?.slice(0, 13));
  expect(await control.call(tokenCreate, viewer.actor, { name: 'laptop' }, 'k')).toEqual({ ...made, secret: null });
  for (const table of ['access_tokens', 'idempotency', 'audit'] as const) {
    const rows = await control.store.db.selectFrom(table).selectAll().execute();
    expect(JSON.stringify(rows), table).not.toContain(made.secret);
  }
  const { body } = await control.http('GET', '/api/v1/me', { token: made.secret! });
  expect(body).toMatchObject({ role: 'viewer', member: { memberId: viewer.memberId, email: viewer.email } });
  const { items } = await control.call(auditList, OPERATOR, { subject: made.tokenId });
  expect(items).toMatchObject([{ verb: 'token.create', actor: `member:${viewer.memberId}`, tenantId }]);
});

test('two members may use one Idempotency-Key: each gets a token', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const [ada, bob] = [await control.member(tenantId, 'viewer', 'ada'), await control.member(tenantId, 'viewer', 'bob')];
  const [a, b] = [
    await control.call(tokenCreate, ada.actor, { name: 'x' }, 'same'),
    await control.call(tokenCreate, bob.actor, { name: 'x' }, 'same'),
  ];
  expect(a.secret).not.toBeNull();
  expect(b.secret).not.toBeNull();
  expect(b.memberId).toBe(bob.memberId);
});

test('revoking is at once and for ever', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const { actor, memberId } = await control.member(tenantId, 'viewer');
  const { tokenId, secret } = await control.call(tokenCreate, actor, { name: 'laptop' });
  const status = async () => (await control.http('GET', '/api/v1/me', { token: secret! })).status;
  expect(await status()).toBe(200);
  const revoked = await control.call(tokenRevoke, actor, { tokenId });
  expect(await status()).toBe(401);
  control.nowMs += 1;
  expect(await control.call(tokenRevoke, actor, { tokenId })).toEqual(revoked);
  expect((await control.call(auditList, OPERATOR, { subject: tokenId, verb: 'token.revoke' })).items).toHaveLength(1);
  const { items } = await control.call(tokenList, actor, {});
  expect(items.map((token) => [token.memberId, token.name, token.revokedAtMs === null])).toEqual(
    expect.arrayContaining([
      [memberId, 'laptop', false],
      [memberId, 'invitation', true],
    ]),
  );
});

test('a token ends on its day', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const { actor } = await control.member(tenantId, 'viewer');
  const { secret } = await control.call(tokenCreate, actor, { name: 'short', expiresInDays: 1 });
  const status = async () => (await control.http('GET', '/api/v1/me', { token: secret! })).status;
  control.nowMs += DAY_MS - 1;
  expect(await status()).toBe(200);
  control.nowMs += 1;
  expect(await status()).toBe(401);
});

test('tokens of others: whoever manages the member, and nobody else', async () => {
  const control = await testControl();
  const { tenantId, reader, manager } = await control.tenant();
  const owner = await control.member(tenantId, 'owner');
  const admin = await control.member(tenantId, 'admin');
  const viewer = await control.member(tenantId, 'viewer');
  const { tokenId } = await control.call(tokenCreate, owner.actor, { name: 'x' });
  const list = (actor: typeof owner.actor, memberId?: string) =>
    control.call(tokenList, actor, memberId === undefined ? {} : { memberId });
  expect((await list(admin.actor, viewer.memberId)).items).toHaveLength(1);
  expect((await list(manager, viewer.memberId)).items).toHaveLength(1);
  expect((await list(OPERATOR, owner.memberId)).items).toHaveLength(2);
  for (const call of [
    () => list(viewer.actor, admin.memberId),
    () => list(admin.actor, owner.memberId),
    () => list(reader, viewer.memberId),
    () => control.call(tokenRevoke, admin.actor, { tokenId }),
  ])
    expect((await refusal(call())).code).toBe('forbidden');
  expect((await refusal(list(manager))).code).toBe('invalid_request');
  expect((await refusal(control.call(tokenRevoke, viewer.actor, { tokenId: 'tok-none' }))).code).toBe('not_found');
});

test('what is no person has no token', async () => {
  const control = await testControl();
  const { manager } = await control.tenant();
  for (const actor of [manager, OPERATOR]) {
    expect((await refusal(control.call(tokenCreate, actor, { name: 'x' }))).code).toBe('conflict');
  }
  expect(await control.store.db.selectFrom('access_tokens').selectAll().execute()).toEqual([]);
});

test.each([
  ['no name', { name: ' ' }, 'name'],
  ['no time', { name: 'x', expiresInDays: 0 }, 'expiresInDays'],
  ['for ever', { name: 'x', expiresInDays: 367 }, 'expiresInDays'],
  ['half a day', { name: 'x', expiresInDays: 0.5 }, 'expiresInDays'],
])('%s is refused', async (_case, input, field) => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const { actor } = await control.member(tenantId, 'viewer');
  const { code, details } = await refusal(control.call(tokenCreate, actor, input));
  expect(code).toBe('invalid_request');
  expect(details['faults']).toMatchObject([{ field }]);
});
