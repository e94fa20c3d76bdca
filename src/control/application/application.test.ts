import { describe, expect, test } from 'vitest';
import { accessApply } from '../access/apply.ts';
import { accessShow } from '../access/show.ts';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { noticeList } from '../notice/list.ts';
import { quotaApply } from '../quota/apply.ts';
import { quotaList } from '../quota/list.ts';
import { quotaSet } from '../quota/set.ts';
import { applicationApprove } from './approve.ts';
import { applicationList } from './list.ts';
import { applicationRefuse } from './refuse.ts';
import { applicationWithdraw } from './withdraw.ts';

const TEMPLATE = { templateId: 'alpha-local' };

async function applied() {
  const control = await testControl();
  control.deps = { ...control.deps, policy: { access: 'by_application', quotaUnits: 2 } };
  const tenant = await control.tenant();
  const quota = await control.call(quotaApply, tenant.manager, { ...TEMPLATE, units: 8, reason: 'a launch' });
  const access = await control.call(accessApply, tenant.manager, { reason: 'to serve our model' });
  const limit = async () => (await control.call(quotaList, tenant.reader, TEMPLATE)).items[0]?.limitUnits;
  return { control, tenant, limit, quotaId: quota.applicationId, accessId: access.applicationId };
}

test('the operator sees what is pending of all, a tenant its own', async () => {
  const { control, tenant, quotaId, accessId } = await applied();
  const other = await control.tenant();
  const ids = async (actor: typeof tenant.reader, input: Parameters<typeof control.call>[2] = {}) =>
    (await control.call(applicationList, actor, input)).items.map((item) => item.applicationId).toSorted();
  expect(await ids(OPERATOR, { state: 'pending' })).toEqual([quotaId, accessId].toSorted());
  expect(await ids(tenant.reader)).toEqual([quotaId, accessId].toSorted());
  expect(await ids(tenant.reader, { kind: 'access' })).toEqual([accessId]);
  expect(await ids(other.reader)).toEqual([]);
  await control.call(applicationRefuse, OPERATOR, { applicationId: quotaId, note: 'no machines' });
  expect(await ids(OPERATOR, { state: 'pending' })).toEqual([accessId]);
});

describe('approving', () => {
  test('quota: all that was asked for, or the number that is said', async () => {
    const { control, tenant, limit, quotaId } = await applied();
    const answer = await control.call(applicationApprove, OPERATOR, {
      applicationId: quotaId,
      units: 5,
      note: 'for now',
    });
    expect(answer).toMatchObject({
      state: 'approved',
      units: 8,
      grantedUnits: 5,
      note: 'for now',
      decidedBy: 'operator',
    });
    expect(await limit()).toBe(5);
    const again = await control.call(quotaApply, tenant.manager, { ...TEMPLATE, units: 8, reason: 'still' });
    await control.call(applicationApprove, OPERATOR, { applicationId: again.applicationId });
    expect(await limit()).toBe(8);
    const { items } = await control.call(noticeList, tenant.manager, { kind: 'quota_decided', subject: quotaId });
    expect(items).toMatchObject([{ detail: { decision: 'granted', about: 'alpha-local', units: 5, note: 'for now' } }]);
  });

  test('never lowers a quota that was set meanwhile', async () => {
    const { control, tenant, limit, quotaId } = await applied();
    await control.call(quotaSet, OPERATOR, { ...TEMPLATE, tenantId: tenant.tenantId, units: 50 });
    const answer = await refusal(control.call(applicationApprove, OPERATOR, { applicationId: quotaId }));
    expect(answer).toMatchObject({ code: 'invalid_request', details: { faults: [{ field: 'units' }] } });
    expect(await limit()).toBe(50);
    const { items } = await control.call(applicationList, OPERATOR, { state: 'pending', kind: 'quota' });
    expect(items).toHaveLength(1);
    await control.call(applicationApprove, OPERATOR, { applicationId: quotaId, units: 60 });
    expect(await limit()).toBe(60);
  });

  test('access', async () => {
    const { control, tenant, accessId } = await applied();
    expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ mayBuy: false, state: 'undecided' });
    const input = { applicationId: accessId };
    expect((await refusal(control.call(applicationApprove, OPERATOR, { ...input, units: 3 }))).message).toContain(
      'units',
    );
    await control.call(applicationApprove, OPERATOR, input);
    expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ mayBuy: true, state: 'granted' });
    const { items } = await control.call(noticeList, tenant.manager, { kind: 'access_decided' });
    expect(items).toMatchObject([{ subject: accessId, detail: { decision: 'granted', about: 'model_units' } }]);
  });
});

test('refusing says why, gives nothing, and the tenant may apply again', async () => {
  const { control, tenant, limit, quotaId, accessId } = await applied();
  for (const note of ['', '  ']) {
    const answer = await refusal(control.call(applicationRefuse, OPERATOR, { applicationId: quotaId, note }));
    expect(answer.details['faults']).toMatchObject([{ field: 'note' }]);
  }
  for (const applicationId of [quotaId, accessId]) {
    const refused = await control.call(applicationRefuse, OPERATOR, { applicationId, note: 'not this month' });
    expect(refused).toMatchObject({ state: 'refused', grantedUnits: null, note: 'not this month' });
  }
  expect(await limit()).toBe(2);
  expect(await control.call(accessShow, tenant.reader, {})).toMatchObject({ mayBuy: false });
  const { items } = await control.call(noticeList, tenant.reader, {});
  expect(items.map((item) => [item.kind, item.detail['decision'], item.detail['note']]).toSorted()).toEqual([
    ['access_decided', 'refused', 'not this month'],
    ['quota_decided', 'refused', 'not this month'],
  ]);
  await control.call(quotaApply, tenant.manager, { ...TEMPLATE, units: 3, reason: 'please' });
  await control.call(accessApply, tenant.manager, { reason: 'please' });
});

test('each is decided once, whoever is second', async () => {
  const { control, tenant, limit, quotaId, accessId } = await applied();
  await control.call(applicationApprove, OPERATOR, { applicationId: quotaId });
  await control.call(applicationWithdraw, tenant.manager, { applicationId: accessId });
  for (const applicationId of [quotaId, accessId]) {
    for (const call of [
      () =>
        control.call(applicationApprove, OPERATOR, {
          applicationId,
          ...(applicationId === quotaId ? { units: 9 } : {}),
        }),
      () => control.call(applicationRefuse, OPERATOR, { applicationId, note: 'no' }),
      () => control.call(applicationWithdraw, tenant.manager, { applicationId }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'invalid_transition', details: { possible: [] } });
    }
  }
  expect(await limit()).toBe(8);
  const audits = await control.call(auditList, tenant.manager, {});
  const decisions = audits.items.map((row) => row.verb).filter((verb) => verb.startsWith('application.'));
  expect(decisions.toSorted()).toEqual(['application.approve', 'application.withdraw']);
});

test('one is pending at a time for each template and feature', async () => {
  const { control, tenant, quotaId } = await applied();
  const wanted = { ...TEMPLATE, units: 9, reason: 'more still' };
  const answer = await refusal(control.call(quotaApply, tenant.manager, wanted));
  expect(answer).toMatchObject({ code: 'conflict', details: { applicationId: quotaId } });
  expect((await refusal(control.call(accessApply, tenant.manager, { reason: 'x' }))).code).toBe('conflict');
  await control.call(quotaApply, tenant.manager, { ...wanted, templateId: 'beta-local' });
  await control.call(applicationWithdraw, tenant.manager, { applicationId: quotaId });
  await control.call(quotaApply, tenant.manager, wanted);
});

test('one that does not exist cannot be decided', async () => {
  const { control } = await applied();
  const applicationId = 'app-none';
  expect((await refusal(control.call(applicationApprove, OPERATOR, { applicationId }))).code).toBe('not_found');
  expect((await refusal(control.call(applicationRefuse, OPERATOR, { applicationId, note: 'x' }))).code).toBe(
    'not_found',
  );
});
