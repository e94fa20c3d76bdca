import { afterAll, describe, expect, test } from 'vitest';
import { openStore } from '../store/store.ts';
import { settle } from './billing/settle.ts';
import { newId } from './call.ts';
import { OPERATOR, refusal, TestControl, testControl } from './fixture.ts';
import { verbs } from './registry.ts';

const named = (access: 'manage' | 'operator') =>
  verbs.filter((verb) => verb.access === access).map((verb) => [verb.name, verb] as const);

test.each([...named('manage'), ...named('operator')])('%s refuses a key of scope inference', async (_name, verb) => {
  const control = await testControl();
  const { reader } = await control.tenant();
  const answer = await refusal(control.call(verb, reader, {}));
  expect(answer).toMatchObject({ code: 'forbidden', details: { needs: verb.access } });
});

test.each(named('operator'))('%s refuses a key of scope manage', async (_name, verb) => {
  const control = await testControl();
  const { manager } = await control.tenant();
  expect((await refusal(control.call(verb, manager, {}))).code).toBe('forbidden');
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
  const keyId = owner.reader.kind === 'tenant' ? owner.reader.keyId : '';
  const foreign: Record<string, unknown> = {
    'tenant.show': { tenantId: owner.tenantId },
    'key.create': { tenantId: owner.tenantId, name: 'x' },
    'key.list': { tenantId: owner.tenantId },
    'key.revoke': { keyId },
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
    'notice.list': { tenantId: owner.tenantId },
    'replica.list': { endpointId },
    'audit.list': { tenantId: owner.tenantId },
    'wallet.show': { tenantId: owner.tenantId },
    'wallet.entries': { tenantId: owner.tenantId },
    'usage.list': { tenantId: owner.tenantId },
    'usage.summary': { tenantId: owner.tenantId },
    'statement.show': { tenantId: owner.tenantId, month: '2026-04' },
    'bill.list': { tenantId: owner.tenantId },
    'bill.preview': { tenantId: owner.tenantId },
    'bill.show': { billId: bill.id },
    'bill.export': { billId: bill.id },
    'statement.export': { tenantId: owner.tenantId, month: '2026-04' },
    'calculator.run': { endpointId },
  };
  const nobodys = ['model.list', 'model.show', 'price.list', 'template.list', 'template.show'];

  test('every verb that a tenant may use is in this table', () => {
    const tenants = verbs.filter((verb) => verb.access !== 'operator').map((verb) => verb.name);
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
