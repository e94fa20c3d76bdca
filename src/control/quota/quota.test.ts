import { describe, expect, test } from 'vitest';
import { applicationApprove } from '../application/approve.ts';
import { auditList } from '../audit/list.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { OPERATOR, refusal, type TestControl, testControl } from '../fixture.ts';
import { noticeList } from '../notice/list.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewNew } from '../order/preview-new.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { buy } from '../prepaid/fixture.ts';
import { tenantCreate } from '../tenant/create.ts';
import { quotaApply } from './apply.ts';
import { quotaList } from './list.ts';
import { quotaSet } from './set.ts';

const TEMPLATE = { templateId: 'alpha-local' };

/** Four units of each template for each tenant. */
async function world(quotaUnits: number | null = 4) {
  const control = await testControl();
  control.deps = { ...control.deps, policy: { access: 'open', quotaUnits } };
  return { control, tenant: await control.tenant('100000') };
}

async function alphaOf(control: TestControl, tenantId: string) {
  const { items } = await control.call(quotaList, OPERATOR, { tenantId, ...TEMPLATE });
  return items[0];
}

describe('orders', () => {
  test('over the quota are refused with the figures and the way to more, and nothing is written', async () => {
    const { control, tenant } = await world();
    await control.endpoint(tenant.manager, 3);
    const answer = await refusal(control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 2 }));
    expect(answer).toMatchObject({
      code: 'quota_exceeded',
      message: expect.stringContaining('cubit quota apply alpha-local --units 5'),
      details: { limitUnits: 4, usedUnits: 3, headroomUnits: 0, freeUnits: 1, wantedUnits: 2 },
    });
    expect(await control.store.db.selectFrom('instance_groups').selectAll().execute()).toHaveLength(1);
    await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    expect(await alphaOf(control, tenant.tenantId)).toMatchObject({ usedUnits: 4, freeUnits: 0 });
  });

  test('an endpoint whose models do not fit together is not made', async () => {
    const { control, tenant } = await world();
    const models = [1, 2].map((coefficient) => ({ modelId: 'alpha', coefficient, units: 3, trafficPercent: 50 }));
    const answer = await refusal(control.call(endpointCreate, tenant.manager, { name: 'chat', models }));
    expect(answer).toMatchObject({ code: 'quota_exceeded', details: { usedUnits: 3, wantedUnits: 3 } });
    expect(await control.store.db.selectFrom('endpoints').selectAll().execute()).toEqual([]);
  });

  test('more units count, fewer free them at once, and so does the end of a group', async () => {
    const { control, tenant } = await world();
    const { groups } = await control.endpoint(tenant.manager, 2);
    const { groupId } = groups[0]!;
    await control.provisioned();
    const resize = (units: number) => control.call(orderResize, tenant.manager, { groupId, units });
    expect(await refusal(resize(5))).toMatchObject({
      code: 'quota_exceeded',
      details: { usedUnits: 2, wantedUnits: 3 },
    });
    await resize(4);
    await control.provisioned();
    expect(await alphaOf(control, tenant.tenantId)).toMatchObject({ usedUnits: 4 });
    await resize(1);
    expect(await alphaOf(control, tenant.tenantId)).toMatchObject({ usedUnits: 1, freeUnits: 3 });
    await control.call(orderUnsubscribe, tenant.manager, { groupId });
    expect(await alphaOf(control, tenant.tenantId)).toMatchObject({ usedUnits: 0, freeUnits: 4 });
  });

  test('both billing types share one quota, and a renewal takes none', async () => {
    const { control, tenant } = await world();
    const groupId = await buy(control, tenant, { units: 3 });
    const wanted = { endpointId: 'chat', units: 2 };
    expect((await refusal(control.call(orderNew, tenant.manager, wanted))).code).toBe('quota_exceeded');
    await control.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId: tenant.tenantId, units: 0 });
    await control.call(orderRenew, tenant.manager, { groupId });
  });

  test('a quota of one template or tenant is not that of another', async () => {
    const { control, tenant } = await world(1);
    await control.endpoint(tenant.manager);
    await control.call(endpointCreate, tenant.manager, { name: 'b', models: [{ modelId: 'beta', units: 1 }] });
    await control.endpoint((await control.tenant()).manager);
    expect((await refusal(control.endpoint(tenant.manager, 1, 'c'))).code).toBe('quota_exceeded');
  });

  test('previews show what the quota lets through', async () => {
    const { control, tenant } = await world();
    const { groups } = await control.endpoint(tenant.manager, 3);
    await control.provisioned();
    const preview = (units: number) => control.call(orderPreviewNew, tenant.manager, { endpointId: 'chat', units });
    expect((await preview(1)).needs?.quotas).toMatchObject([{ ...TEMPLATE, unitsAdded: 1, freeUnits: 1, fits: true }]);
    expect((await preview(2)).needs?.quotas).toMatchObject([{ unitsAdded: 2, fits: false }]);
    const { groupId } = groups[0]!;
    const resize = (units: number) => control.call(orderPreviewResize, tenant.manager, { groupId, units });
    expect((await resize(5)).needs?.quotas).toMatchObject([{ unitsAdded: 2, fits: false }]);
    expect((await resize(2)).needs).toBeNull();
  });
});

describe('the limit', () => {
  test("the tenant's own goes before the template's, and that before the platform's", async () => {
    const { control, tenant } = await world();
    const { tenantId } = tenant;
    expect(await alphaOf(control, tenantId)).toMatchObject({ limitUnits: 4, source: 'platform' });
    const { catalog } = control.deps;
    const template = { ...catalog.templates.get('alpha-local')!, quotaUnits: 6 };
    const templates = new Map(catalog.templates).set(template.id, template);
    control.deps = { ...control.deps, catalog: { ...catalog, templates } };
    expect(await alphaOf(control, tenantId)).toMatchObject({ limitUnits: 6, source: 'template' });
    const set = await control.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId, units: 2, note: 'trial' });
    expect(set).toMatchObject({ limitUnits: 2, source: 'tenant', usedUnits: 0 });
    expect(await alphaOf(control, tenantId)).toEqual(set);
  });

  test('below what runs it takes nothing away and lets nothing in', async () => {
    const { control, tenant } = await world();
    const { groups } = await control.endpoint(tenant.manager, 3);
    await control.provisioned();
    const set = await control.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId: tenant.tenantId, units: 1 });
    expect(set).toMatchObject({ limitUnits: 1, usedUnits: 3, freeUnits: 0 });
    await control.provisioned();
    expect(Object.values(control.fleet.states())).toEqual(['ready', 'ready', 'ready']);
    const { groupId } = groups[0]!;
    const resize = (units: number) => control.call(orderResize, tenant.manager, { groupId, units });
    expect((await refusal(resize(4))).code).toBe('quota_exceeded');
    await resize(2);
    expect((await refusal(control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 }))).code).toBe(
      'quota_exceeded',
    );
  });

  test('setting one tells the tenant and is in the audit', async () => {
    const { control, tenant } = await world();
    await control.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId: tenant.tenantId, units: 9, note: 'as agreed' });
    const { items } = await control.call(noticeList, tenant.manager, { kind: 'quota_decided' });
    expect(items).toMatchObject([
      { detail: { decision: 'granted', about: 'alpha-local', units: 9, note: 'as agreed' } },
    ]);
    const audits = await control.call(auditList, tenant.manager, { verb: 'quota.set' });
    expect(audits.items).toMatchObject([{ actor: 'operator', detail: { unitsBefore: 4, units: 9 } }]);
  });

  test('the list has what is for sale and what is held', async () => {
    const { control, tenant } = await world(null);
    const { items } = await control.call(quotaList, tenant.reader, {});
    expect(items.map((item) => item.templateId)).toEqual([
      'alpha-elsewhere',
      'alpha-local',
      'alpha-pair',
      'beta-local',
    ]);
    expect(items[0]).toMatchObject({ limitUnits: null, freeUnits: null, source: 'none' });
    await control.call(quotaSet, OPERATOR, { templateId: 'alpha-unpriced', tenantId: tenant.tenantId, units: 9 });
    expect((await control.call(quotaList, tenant.reader, {})).items).toHaveLength(5);
  });
});

describe('applying', () => {
  test('approved, the order that was refused is placed', async () => {
    const { control, tenant } = await world(1);
    const input = { ...TEMPLATE, units: 3, reason: ' a launch ' };
    const applied = await control.call(quotaApply, tenant.manager, input, 'k-1');
    expect(applied).toMatchObject({
      kind: 'quota',
      about: 'alpha-local',
      units: 3,
      reason: 'a launch',
      state: 'pending',
    });
    expect(await control.call(quotaApply, tenant.manager, input, 'k-1')).toEqual(applied);
    expect((await refusal(control.endpoint(tenant.manager, 3))).code).toBe('quota_exceeded');
    await control.call(applicationApprove, OPERATOR, { applicationId: applied.applicationId });
    await control.endpoint(tenant.manager, 3);
  });

  test.each([
    ['units', 0],
    ['units', -1],
    ['units', 1.5],
    ['units', 1_000_001],
    ['units', Number.MAX_SAFE_INTEGER],
    ['units', 4],
    ['reason', ''],
    ['reason', '   '],
    ['reason', 'x'.repeat(1001)],
    ['templateId', 'nothing'],
  ])('%s %j is refused by name', async (field, value) => {
    const { control, tenant } = await world();
    const input = { ...TEMPLATE, units: 9, reason: 'x', [field]: value };
    const answer = await refusal(control.call(quotaApply, tenant.manager, input));
    expect(answer).toMatchObject({ code: 'invalid_request', details: { faults: [{ field }] } });
    expect(await control.store.db.selectFrom('applications').selectAll().execute()).toEqual([]);
  });

  test.each([
    ['units', -1],
    ['units', 0.5],
    ['units', 1_000_001],
    ['templateId', 'nothing'],
    ['note', ''],
  ])('setting %s %j is refused by name', async (field, value) => {
    const { control, tenant } = await world();
    const input = { ...TEMPLATE, tenantId: tenant.tenantId, units: 9, [field]: value };
    const answer = await refusal(control.call(quotaSet, OPERATOR, input));
    expect(answer).toMatchObject({ code: 'invalid_request', details: { faults: [{ field }] } });
    expect(await control.store.db.selectFrom('quotas').selectAll().execute()).toEqual([]);
  });

  test('without a limit there is nothing to apply for', async () => {
    const { control, tenant } = await world(null);
    const answer = await refusal(control.call(quotaApply, tenant.manager, { ...TEMPLATE, units: 9, reason: 'x' }));
    expect(answer.message).toContain('nothing to apply for');
  });

  test('a tenant that does not exist has no quota', async () => {
    const { control } = await world();
    await control.call(tenantCreate, OPERATOR, { name: 'other' });
    const input = { ...TEMPLATE, tenantId: 't-nobody', units: 9 };
    for (const call of [
      () => control.call(quotaSet, OPERATOR, input),
      () => control.call(quotaApply, OPERATOR, { ...input, reason: 'x' }),
      () => control.call(quotaList, OPERATOR, { tenantId: 't-nobody' }),
    ]) {
      expect((await refusal(call())).code).toBe('not_found');
    }
  });
});
