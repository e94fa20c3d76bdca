import { describe, expect, test } from 'vitest';
import { applicationList } from '../application/list.ts';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { runJobs } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewNew } from '../order/preview-new.ts';
import { orderPreviewRenew } from '../order/preview-renew.ts';
import { orderPreviewUnsubscribe } from '../order/preview-unsubscribe.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { buy, DAY_MS } from '../prepaid/fixture.ts';
import { accessApply } from './apply.ts';
import { accessGrant } from './grant.ts';
import { accessRevoke } from './revoke.ts';
import { accessShow } from './show.ts';

async function world(access: 'open' | 'by_application') {
  const control = await testControl();
  control.deps = { ...control.deps, policy: { access, quotaUnits: null } };
  return { control, tenant: await control.tenant('100000') };
}

describe('by application', () => {
  test('nothing is sold before access is granted, and the refusal says how to apply', async () => {
    const { control, tenant } = await world('by_application');
    expect(await refusal(control.endpoint(tenant.manager))).toMatchObject({
      code: 'access_required',
      message: expect.stringContaining('cubit access apply'),
      details: { feature: 'model_units', state: 'undecided', apply: { path: '/api/v1/access/applications' } },
    });
    await control.call(accessApply, tenant.manager, { reason: 'to serve our model' });
    await control.call(accessGrant, OPERATOR, { tenantId: tenant.tenantId, note: 'welcome' });
    await control.endpoint(tenant.manager);
    const { items } = await control.call(applicationList, tenant.reader, {});
    expect(items).toMatchObject([{ state: 'approved', note: 'welcome' }]);
    expect((await refusal(control.endpoint((await control.tenant()).manager, 1, 'b'))).code).toBe('access_required');
  });

  test('whoever has access has nothing to apply for', async () => {
    const { control, tenant } = await world('by_application');
    await control.call(accessGrant, OPERATOR, { tenantId: tenant.tenantId });
    expect((await refusal(control.call(accessApply, tenant.manager, { reason: 'x' }))).code).toBe('conflict');
    const again = await refusal(control.call(accessGrant, OPERATOR, { tenantId: tenant.tenantId }));
    expect(again.code).toBe('invalid_transition');
  });

  test.each(['', '  ', 'x'.repeat(1001)])('a reason %j is refused', async (reason) => {
    const { control, tenant } = await world('by_application');
    const { tenantId } = tenant;
    for (const call of [
      () => control.call(accessApply, tenant.manager, { reason }),
      () => control.call(accessRevoke, OPERATOR, { tenantId, reason }),
    ]) {
      expect((await refusal(call())).details['faults']).toMatchObject([{ field: 'reason' }]);
    }
    expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ state: 'undecided', decidedAtMs: null });
  });
});

test('open: every tenant buys at once, until it is revoked', async () => {
  const { control, tenant } = await world('open');
  expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ mayBuy: true, state: 'undecided' });
  await control.endpoint(tenant.manager);
  await control.call(accessRevoke, OPERATOR, { tenantId: tenant.tenantId, reason: 'misuse' });
  expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ mayBuy: false, note: 'misuse' });
  await control.endpoint((await control.tenant()).manager);
  await control.call(accessApply, tenant.manager, { reason: 'we changed' });
});

describe('revoked', () => {
  async function revoked(autoRenewMonths?: number) {
    const { control, tenant } = await world('by_application');
    const { tenantId } = tenant;
    await control.call(accessGrant, OPERATOR, { tenantId });
    const prepaidId = await buy(control, tenant, { autoRenewMonths });
    const { order } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 2 });
    await control.provisioned();
    control.nowMs += 1_000;
    await control.call(accessRevoke, OPERATOR, { tenantId, reason: 'terms broken' });
    return { control, tenant, prepaidId, postpaidId: order.groupId };
  }

  test('what runs stays, and nothing is ordered, enlarged or renewed', async () => {
    const { control, tenant, prepaidId, postpaidId } = await revoked();
    const { manager } = tenant;
    await control.provisioned();
    expect(Object.values(control.fleet.states())).toEqual(['ready', 'ready', 'ready', 'ready']);
    for (const call of [
      () => control.call(orderNew, manager, { endpointId: 'chat', units: 1 }),
      () => control.call(orderResize, manager, { groupId: postpaidId, units: 3 }),
      () => control.call(orderResize, manager, { groupId: prepaidId, units: 3 }),
      () => control.call(orderRenew, manager, { groupId: prepaidId }),
    ]) {
      expect(await refusal(call())).toMatchObject({
        code: 'access_required',
        message: expect.stringContaining('terms broken'),
        details: { state: 'revoked' },
      });
    }
    const previews = [
      await control.call(orderPreviewNew, manager, { endpointId: 'chat', units: 1 }),
      await control.call(orderPreviewRenew, manager, { groupId: prepaidId }),
    ];
    for (const { needs } of previews) expect(needs).toMatchObject({ access: false });
    expect((await control.call(orderPreviewUnsubscribe, manager, { groupId: prepaidId })).needs).toBeNull();
    await control.call(orderResize, manager, { groupId: postpaidId, units: 1 });
    await control.call(orderUnsubscribe, manager, { groupId: postpaidId });
    await control.call(accessGrant, OPERATOR, { tenantId: tenant.tenantId });
    await control.call(orderRenew, manager, { groupId: prepaidId });
  });

  test('auto-renewal says each day that it is for want of access, until the term ends', async () => {
    const { control, tenant, prepaidId, postpaidId } = await revoked(1);
    // A month of its hourly bills is not what this is about.
    await control.call(orderUnsubscribe, tenant.manager, { groupId: postpaidId });
    control.nowMs += 34 * DAY_MS;
    await runJobs(control);
    const { items } = await control.call(noticeList, tenant.reader, { kind: 'renew_failed' });
    expect(items.map((item) => item.detail['code'])).toEqual(Array(4).fill('access_required'));
    expect((await control.call(noticeList, tenant.reader, { kind: 'reclaimed' })).items).toHaveLength(1);
    const ended = await control.call(groupShow, tenant.reader, { groupId: prepaidId });
    expect(ended.state).toBe('reclaimed');
  });

  test('tells the tenant and is in the audit', async () => {
    const { control, tenant } = await revoked();
    const { items } = await control.call(noticeList, tenant.reader, { kind: 'access_decided' });
    expect(items.map((item) => item.detail['decision']).toSorted()).toEqual(['granted', 'revoked']);
    const audits = await control.call(auditList, tenant.manager, { verb: 'access.revoke' });
    expect(audits.items).toMatchObject([{ actor: 'operator', detail: { reason: 'terms broken' } }]);
  });
});
