import { afterAll, describe, expect, test } from 'vitest';
import { notify } from '../store/notices.ts';
import type { Row } from '../store/schema.ts';
import { openStore } from '../store/store.ts';
import { settle } from './billing/settle.ts';
import { budgetSet } from './budget/set.ts';
import { newId } from './call.ts';
import { channelCreate } from './channel/create.ts';
import { OPERATOR, refusal, TestControl } from './fixture.ts';
import { memberInvite } from './member/invite.ts';
import { quotaApply } from './quota/apply.ts';
import { verbs } from './registry.ts';
import { upstreamCreate } from './upstream/create.ts';

/** Ids that belong to another tenant, for each verb that takes one. */
describe('what belongs to another tenant answers like what does not exist', async () => {
  // One world for all of them, so it is not closed with the first test that uses it.
  const control = new TestControl(await openStore({ path: ':memory:' }));
  afterAll(() => control.store.close());
  control.deps = { ...control.deps, policy: { access: 'open', quotaUnits: 10 } };
  const owner = await control.tenant();
  const stranger = await control.tenant();
  const { memberId } = await control.member(owner.tenantId, 'viewer');
  const token = await control.store.db.selectFrom('access_tokens').select('id').executeTakeFirstOrThrow();
  const email = 'new@example.com';
  const { invitationId } = await control.call(memberInvite, OPERATOR, {
    tenantId: owner.tenantId,
    email,
    role: 'viewer',
  });
  const { endpointId, groups } = await control.endpoint(owner.manager);
  await control.provisioned();
  const { groupId } = groups[0]!;
  const order = await control.store.db.selectFrom('orders').selectAll().executeTakeFirstOrThrow();
  control.nowMs += 2 * 3_600_000;
  await settle({ ...control.deps, newId });
  const bill = await control.store.db.selectFrom('bills').selectAll().executeTakeFirstOrThrow();
  const keyId = owner.reader.kind === 'key' ? owner.reader.keyId : '';
  const wanted = { templateId: 'alpha-local', units: 20, reason: 'a launch' };
  const { applicationId } = await control.call(quotaApply, owner.manager, wanted);
  const { upstreamId } = await control.call(upstreamCreate, owner.manager, {
    ...{ name: 'u', baseUrl: 'http://127.0.0.1:9/v1', model: 'x', inputPrice: '1', outputPrice: '2' },
  });
  const { channelId } = await control.call(channelCreate, owner.manager, {
    name: 'ops',
    webhookUrl: 'http://127.0.0.1:9/',
  });
  await control.store.db
    .transaction()
    .execute((trx) =>
      notify(
        trx,
        { ...control.deps, newId },
        { tenantId: owner.tenantId, kind: 'expired', subject: groupId, dueAtMs: 1, detail: {} },
      ),
    );
  const delivery = await control.store.db.selectFrom('deliveries').selectAll().executeTakeFirstOrThrow();
  const { budgetId } = await control.call(budgetSet, owner.manager, { amount: '1' });
  const ownModel: Row<'own_models'> = {
    id: newId('model'),
    tenant_id: owner.tenantId,
    name: 'mine',
    kind: 'lora',
    base_model_id: 'alpha',
    format: 'gguf',
    source: '/x',
    path: '/x',
    sha256: 'x',
    bytes: 1,
    rank: 8,
    alpha: 16,
    created_at_ms: 1,
    removed_at_ms: null,
  };
  await control.store.db.insertInto('own_models').values(ownModel).execute();
  const foreign: Record<string, unknown> = {
    'tenant.show': { tenantId: owner.tenantId },
    'key.create': { tenantId: owner.tenantId, name: 'x' },
    'key.list': { tenantId: owner.tenantId },
    'key.revoke': { keyId },
    'access.show': { tenantId: owner.tenantId },
    'access.apply': { tenantId: owner.tenantId, reason: 'x' },
    'agreement.show': { tenantId: owner.tenantId },
    'agreement.accept': { tenantId: owner.tenantId, version: 'v1' },
    'agreement.list': { tenantId: owner.tenantId },
    'quota.list': { tenantId: owner.tenantId },
    'quota.apply': { tenantId: owner.tenantId, ...wanted },
    'application.list': { tenantId: owner.tenantId },
    'application.withdraw': { applicationId },
    'endpoint.create': { tenantId: owner.tenantId, name: 'x', models: [{ modelId: 'alpha', units: 1 }] },
    'endpoint.preview': { tenantId: owner.tenantId, models: [{ modelId: 'alpha', units: 1 }] },
    'endpoint.list': { tenantId: owner.tenantId },
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
    'order.list': { tenantId: owner.tenantId },
    'order.show': { orderId: order.id },
    'group.list': { tenantId: owner.tenantId },
    'group.show': { groupId },
    'group.auto-renew': { groupId, enabled: true },
    'rule.preview': { groupId, maxUnits: 4 },
    'rule.set': { groupId, maxUnits: 4 },
    'rule.show': { groupId },
    'rule.remove': { groupId },
    'scaling.decisions': { groupId },
    'scaling.units': { groupId },
    'limit.request': { tenantId: owner.tenantId, modelId: 'alpha', rpm: 1, tpm: 1, reason: 'x' },
    'limit.list': { tenantId: owner.tenantId },
    'limit.show': { tenantId: owner.tenantId },
    'key.update': { keyId, name: 'x' },
    'notice.list': { tenantId: owner.tenantId },
    'notice.mark-read': { noticeIds: [delivery.notice_id] },
    'notice.preferences': { tenantId: owner.tenantId },
    'notice.set-preferences': { tenantId: owner.tenantId, bills: 'off' },
    'overflow.set': { endpointId, spillAfterMs: 0 },
    'overflow.show': { endpointId },
    'rollout.start': { endpointId, toServedModelId: 'sm-x' },
    'rollout.back': { endpointId },
    'rollout.status': { endpointId },
    'upstream.create': {
      tenantId: owner.tenantId,
      name: 'x',
      baseUrl: 'http://127.0.0.1:9/v1',
      model: 'x',
      inputPrice: '1',
      outputPrice: '2',
    },
    'upstream.list': { tenantId: owner.tenantId },
    'upstream.remove': { upstreamId },
    'channel.create': { tenantId: owner.tenantId, name: 'x', webhookUrl: 'http://127.0.0.1:9/' },
    'channel.list': { tenantId: owner.tenantId },
    'channel.update': { channelId, name: 'x' },
    'channel.remove': { channelId },
    'channel.test': { channelId },
    'delivery.list': { tenantId: owner.tenantId },
    'delivery.retry': { deliveryId: delivery.id },
    'replica.list': { endpointId },
    'model.register': { tenantId: owner.tenantId, name: 'x', baseModelId: 'alpha', source: '/x' },
    'model.registered': { tenantId: owner.tenantId },
    'model.remove': { modelId: ownModel.id },
    'adapter.add': { endpointId, modelId: ownModel.id },
    'adapter.list': { endpointId },
    'adapter.remove': { endpointId, modelId: ownModel.id },
    'audit.list': { tenantId: owner.tenantId },
    'wallet.show': { tenantId: owner.tenantId },
    'wallet.entries': { tenantId: owner.tenantId },
    'usage.export': { tenantId: owner.tenantId },
    'usage.list': { tenantId: owner.tenantId },
    'usage.summary': { tenantId: owner.tenantId },
    'statement.show': { tenantId: owner.tenantId, month: '2026-04' },
    'bill.list': { tenantId: owner.tenantId },
    'bill.preview': { tenantId: owner.tenantId },
    'bill.show': { billId: bill.id },
    'chargeback.show': { endpointId },
    'budget.set': { tenantId: owner.tenantId, amount: '1' },
    'budget.list': { tenantId: owner.tenantId },
    'budget.state': { tenantId: owner.tenantId },
    'budget.remove': { budgetId },
    'bill.export': { billId: bill.id },
    'statement.export': { tenantId: owner.tenantId, month: '2026-04' },
    'calculator.run': { endpointId },
    'member.invite': { tenantId: owner.tenantId, email, role: 'viewer' },
    'member.list': { tenantId: owner.tenantId },
    'member.update': { memberId, role: 'viewer' },
    'member.remove': { memberId },
    'invitation.list': { tenantId: owner.tenantId },
    'invitation.revoke': { invitationId },
    'token.list': { memberId },
    'token.revoke': { tokenId: token.id },
  };
  const nobodys = [
    'model.list',
    'model.show',
    'pool.list',
    'price.list',
    'template.list',
    'template.show',
    'me.show',
    'token.create',
  ];

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
    for (const name of ['endpoint.list', 'order.list', 'group.list', 'replica.list', 'bill.list', 'application.list']) {
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
