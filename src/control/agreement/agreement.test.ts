import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { Agreement } from '../../catalog/agreements.ts';
import { auditList } from '../audit/list.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointPreview } from '../endpoint/preview.ts';
import { OPERATOR, refusal, START_MS, type TestControl, testControl } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewRenew } from '../order/preview-renew.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { DAY_MS } from '../prepaid/fixture.ts';
import { agreementAccept } from './accept.ts';
import { agreementList } from './list.ts';
import { agreementShow } from './show.ts';

function version(name: string, validFromMs: number, text = `Terms ${name}.`): Agreement {
  const title = `Terms ${name}`;
  const sha256 = createHash('sha256').update(`${title}\n${text}`).digest('hex');
  return { version: name, title, validFromMs, text, sha256 };
}

const NEXT_MS = START_MS + DAY_MS;
const models = [{ modelId: 'alpha', units: 1 }];

function publish(control: TestControl, ...agreements: Agreement[]): void {
  control.deps = { ...control.deps, catalog: { ...control.deps.catalog, agreements } };
}

/** v1 is in force, v2 from tomorrow. */
async function world() {
  const control = await testControl();
  publish(control, version('v2', NEXT_MS), version('v1', START_MS - DAY_MS));
  return { control, tenant: await control.tenant('100000') };
}

const acceptances = (control: TestControl) =>
  control.store.db.selectFrom('agreement_acceptances').selectAll().execute();

describe('placing', () => {
  test('needs the current version, and says which', async () => {
    const { control, tenant } = await world();
    expect(await refusal(control.endpoint(tenant.manager))).toMatchObject({
      code: 'agreement_required',
      message: expect.stringContaining('cubit agreement accept --version v1'),
      details: { version: 'v1', title: 'Terms v1', given: null },
    });
    await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    await control.endpoint(tenant.manager);
    await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    expect((await refusal(control.endpoint((await control.tenant()).manager, 1, 'b'))).code).toBe('agreement_required');
  });

  test('may accept it in the same request, and an order that fails accepts nothing', async () => {
    const { control, tenant } = await world();
    const order = (units: number) =>
      control.call(endpointCreate, tenant.manager, {
        name: 'chat',
        models: [{ modelId: 'alpha', units }],
        agreementVersion: 'v1',
      });
    expect((await refusal(order(100))).code).toBe('capacity_exhausted');
    expect(await acceptances(control)).toEqual([]);
    await order(1);
    const keyId = tenant.manager.kind === 'key' ? tenant.manager.keyId : '';
    expect(await acceptances(control)).toMatchObject([
      { tenant_id: tenant.tenantId, version: 'v1', actor: `key:${keyId}`, created_at_ms: START_MS },
    ]);
    await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1, agreementVersion: 'v1' });
    expect(await acceptances(control)).toHaveLength(1);
  });

  test('refuses a version that is not current, one that comes and one that was', async () => {
    const { control, tenant } = await world();
    const order = (agreementVersion: string) =>
      control.call(endpointCreate, tenant.manager, { name: 'chat', models, agreementVersion });
    expect(await refusal(order('v2'))).toMatchObject({
      code: 'agreement_required',
      details: { version: 'v1', given: 'v2' },
    });
    control.nowMs = NEXT_MS;
    expect(await refusal(order('v1'))).toMatchObject({
      code: 'agreement_required',
      details: { version: 'v2', given: 'v1' },
    });
    expect(await acceptances(control)).toEqual([]);
    await order('v2');
  });

  test('with a new version needs it anew: new, larger and renewed units, not fewer and not the end', async () => {
    const { control, tenant } = await world();
    const { manager } = tenant;
    await control.call(agreementAccept, manager, { version: 'v1' });
    const prepaid = [{ modelId: 'alpha', units: 2, billingType: 'prepaid' as const, months: 1 }];
    const { groups } = await control.call(endpointCreate, manager, { name: 'chat', models: prepaid });
    const { order } = await control.call(orderNew, manager, { endpointId: 'chat', units: 2 });
    await control.provisioned();
    control.nowMs = NEXT_MS;
    const prepaidId = groups[0]!.groupId;
    const { groupId } = order;
    for (const call of [
      () => control.call(orderNew, manager, { endpointId: 'chat', units: 1 }),
      () => control.call(orderResize, manager, { groupId, units: 3 }),
      () => control.call(orderRenew, manager, { groupId: prepaidId }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'agreement_required', details: { version: 'v2' } });
    }
    await control.call(orderResize, manager, { groupId, units: 1 });
    await control.call(orderRenew, manager, { groupId: prepaidId, agreementVersion: 'v2' });
    await control.call(orderResize, manager, { groupId, units: 2 });
    await control.call(orderUnsubscribe, manager, { groupId });
  });

  test('auto-renewal goes on: nobody is there to read', async () => {
    const { control, tenant } = await world();
    const prepaid = { modelId: 'alpha', units: 1, billingType: 'prepaid' as const, months: 1, autoRenewMonths: 1 };
    const input = { name: 'chat', models: [prepaid], agreementVersion: 'v1' };
    await control.call(endpointCreate, tenant.manager, input);
    await control.provisioned();
    control.nowMs += 32 * DAY_MS;
    await runJobs(control);
    expect((await control.call(noticeList, tenant.reader, { kind: 'renewed' })).items).toHaveLength(1);
  });

  test('a previous version’s acceptance in a preview counts for nothing', async () => {
    const { control, tenant } = await world();
    const needs = async () => (await control.call(endpointPreview, tenant.reader, { models })).needs;
    expect(await needs()).toMatchObject({ agreement: { version: 'v1', accepted: false } });
    const accepted = await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    expect(await needs()).toMatchObject({ agreement: { version: 'v1', accepted: true } });
    control.nowMs = NEXT_MS;
    expect(await needs()).toMatchObject({ agreement: { version: 'v2', title: 'Terms v2', accepted: false } });
    expect((await control.call(agreementList, tenant.reader, {})).items).toEqual([accepted]);
  });

  test('where there is no agreement none is needed, and none can be accepted', async () => {
    const control = await testControl();
    const { manager } = await control.tenant('100000');
    await control.endpoint(manager);
    const order = { endpointId: 'chat', units: 1, agreementVersion: 'v1' };
    for (const call of [
      () => control.call(orderNew, manager, order),
      () => control.call(agreementAccept, manager, { version: 'v1' }),
    ]) {
      expect(await refusal(call())).toMatchObject({ code: 'invalid_request' });
    }
    expect((await refusal(control.call(agreementShow, manager, {}))).code).toBe('not_found');
    const prepaid = [{ modelId: 'beta', units: 1, billingType: 'prepaid' as const, months: 1 }];
    const { groups } = await control.call(endpointCreate, manager, { name: 'b', models: prepaid });
    await control.provisioned();
    const { needs } = await control.call(orderPreviewRenew, manager, { groupId: groups[0]!.groupId });
    expect(needs).toEqual({ access: true, agreement: null, quotas: [] });
  });
});

describe('accepting', () => {
  test('is kept once, with who and when; again it changes nothing', async () => {
    const { control, tenant } = await world();
    const first = await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    control.nowMs += 5_000;
    expect(await control.call(agreementAccept, OPERATOR, { tenantId: tenant.tenantId, version: 'v1' })).toEqual(first);
    expect((await control.call(agreementList, OPERATOR, {})).items).toEqual([first]);
    const audits = await control.call(auditList, tenant.manager, { verb: 'agreement.accept' });
    expect(audits.items).toMatchObject([{ subject: first.acceptanceId, atMs: START_MS, detail: { version: 'v1' } }]);
  });

  test.each(['v2', 'v0', ''])('%j is not current', async (asked) => {
    const { control, tenant } = await world();
    const { code } = await refusal(control.call(agreementAccept, tenant.manager, { version: asked }));
    expect(code).toBe(asked === '' ? 'invalid_request' : 'agreement_required');
    expect(await acceptances(control)).toEqual([]);
  });

  test('words that were changed under the same version are accepted anew, and the old ones are kept', async () => {
    const { control, tenant } = await world();
    const first = await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    publish(control, version('v1', START_MS - DAY_MS, 'Other terms.'));
    expect((await refusal(control.endpoint(tenant.manager))).code).toBe('agreement_required');
    control.nowMs += 1_000;
    const second = await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    expect(second.sha256).not.toBe(first.sha256);
    await control.endpoint(tenant.manager);
    expect((await control.call(agreementList, tenant.reader, {})).items).toEqual([second, first]);
    const texts = await control.store.db.selectFrom('agreement_texts').select(['sha256', 'text']).execute();
    expect(Object.fromEntries(texts.map((row) => [row.sha256, row.text]))).toEqual({
      [first.sha256]: 'Terms v1.',
      [second.sha256]: 'Other terms.',
    });
  });

  test('it is shown with what this tenant accepted, old versions too when the file is gone', async () => {
    const { control, tenant } = await world();
    const show = (input = {}) => control.call(agreementShow, tenant.reader, input);
    expect(await show()).toMatchObject({ version: 'v1', text: 'Terms v1.', current: true, acceptance: null });
    expect(await show({ version: 'v2' })).toMatchObject({ validFromMs: NEXT_MS, current: false });
    const acceptance = await control.call(agreementAccept, tenant.manager, { version: 'v1' });
    expect(await show()).toMatchObject({ acceptance });
    publish(control, version('v2', START_MS));
    expect(await show()).toMatchObject({ version: 'v2', acceptance: null });
    expect(await show({ version: 'v1' })).toMatchObject({ text: 'Terms v1.', current: false, acceptance });
    expect((await refusal(show({ version: 'v9' }))).code).toBe('not_found');
    expect(await control.call(agreementShow, OPERATOR, {})).toMatchObject({ version: 'v2', acceptance: null });
    const other = await control.tenant();
    expect(await control.call(agreementShow, other.reader, { version: 'v1' })).toMatchObject({ acceptance: null });
    const foreign = control.call(agreementShow, other.reader, { tenantId: tenant.tenantId });
    expect((await refusal(foreign)).code).toBe('not_found');
  });
});
