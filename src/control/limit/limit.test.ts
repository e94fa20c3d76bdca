import { beforeEach, expect, test } from 'vitest';
import { OPERATOR, refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { noticeList } from '../notice/list.ts';
import { poolWorld } from '../pool/fixture.ts';
import { limitApprove } from './approve.ts';
import { limitList } from './list.ts';
import { limitRefuse } from './refuse.ts';
import { limitRequest } from './request.ts';
import { limitSet } from './set.ts';
import { limitShow } from './show.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control } = await poolWorld());
  tenant = await control.tenant();
});

const wish = { modelId: 'alpha', rpm: 600, tpm: 1_000_000, reason: 'launch day' };
const ask = (input = wish) => control.call(limitRequest, tenant.manager, input);
const limits = async (of = tenant) => (await control.call(limitShow, of.reader, {})).items;

test('asked for, granted, held at once and told; another tenant keeps the default', async () => {
  const other = await control.tenant();
  expect(await limits()).toEqual([{ tenantId: tenant.tenantId, modelId: 'alpha', rpm: 60, tpm: 100_000, own: false }]);
  const { requestId, state } = await ask();
  expect(state).toBe('open');
  const changes = control.changes;
  const approved = await control.call(limitApprove, OPERATOR, { requestId, tpm: 500_000, note: 'half for now' });
  expect(approved).toMatchObject({ state: 'approved', rpm: 600, tpm: 1_000_000, note: 'half for now' });
  expect(control.changes).toBe(changes + 1);
  expect(await limits()).toMatchObject([{ rpm: 600, tpm: 500_000, own: true }]);
  expect(await limits(other)).toMatchObject([{ rpm: 60, tpm: 100_000, own: false }]);
  const { items } = await control.call(noticeList, tenant.reader, { kind: 'limit_decided' });
  expect(items).toMatchObject([{ subject: requestId, detail: { state: 'approved', tpm: 500_000 } }]);
});

test('refused: what holds stays, and the tenant reads why', async () => {
  const { requestId } = await ask();
  await control.call(limitRefuse, OPERATOR, { requestId, note: 'no capacity' });
  expect(await limits()).toMatchObject([{ rpm: 60, own: false }]);
  const { items } = await control.call(limitList, tenant.reader, {});
  expect(items).toMatchObject([{ requestId, state: 'refused', note: 'no capacity' }]);
  expect((await control.call(limitList, OPERATOR, { state: 'open' })).items).toEqual([]);
  const other = await control.tenant();
  expect((await control.call(limitList, other.reader, {})).items).toEqual([]);
});

test('one open request for a model, each decided once', async () => {
  const { requestId } = await ask();
  expect((await refusal(ask())).code).toBe('conflict');
  await control.call(limitRefuse, OPERATOR, { requestId, note: 'no' });
  expect((await refusal(control.call(limitApprove, OPERATOR, { requestId }))).code).toBe('conflict');
  expect((await refusal(control.call(limitApprove, OPERATOR, { requestId: 'lim-none' }))).code).toBe('not_found');
  expect((await ask()).state).toBe('open');
});

test('the operator sets a tenant’s own, and what all others have', async () => {
  const other = await control.tenant();
  await control.call(limitSet, OPERATOR, { tenantId: tenant.tenantId, modelId: 'alpha', rpm: 1, tpm: 10 });
  await control.call(limitSet, OPERATOR, { tenantId: tenant.tenantId, modelId: 'alpha', rpm: 2, tpm: 20 });
  await control.call(limitSet, OPERATOR, { modelId: 'alpha', rpm: 7, tpm: 70 });
  expect(await limits()).toMatchObject([{ rpm: 2, tpm: 20, own: true }]);
  expect(await limits(other)).toMatchObject([{ rpm: 7, tpm: 70, own: false }]);
});

test.each([
  ['no such model', { ...wish, modelId: 'omega' }, 'not_found'],
  ['a model without pool', { ...wish, modelId: 'beta' }, 'not_found'],
  ['no reason', { ...wish, reason: ' ' }, 'invalid_request'],
  ['zero', { ...wish, rpm: 0 }, 'invalid_request'],
  ['a fraction', { ...wish, tpm: 1.5 }, 'invalid_request'],
  ['too many', { ...wish, tpm: 10_000_000_001 }, 'invalid_request'],
])('%s is refused', async (_what, input, code) => {
  expect((await refusal(ask(input))).code).toBe(code);
  expect((await control.call(limitList, OPERATOR, {})).items).toEqual([]);
});
