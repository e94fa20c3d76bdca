import { expect, test } from 'vitest';
import { auditList } from '../audit/list.ts';
import { OPERATOR, refusal, testControl } from '../fixture.ts';
import { tenantCreate } from './create.ts';
import { tenantList } from './list.ts';
import { tenantShow } from './show.ts';

test('a tenant has a zone and the price book’s currency', async () => {
  const control = await testControl();
  const made = await control.call(tenantCreate, OPERATOR, { name: ' acme ' });
  expect(made).toMatchObject({ name: 'acme', zone: 'Asia/Shanghai', currency: 'CNY', createdAtMs: control.nowMs });
  expect(await control.call(tenantShow, OPERATOR, { tenantId: made.tenantId })).toEqual(made);
  expect(await control.call(tenantList, OPERATOR, {})).toEqual({ items: [made], nextCursor: null });
});

test.each([
  ['america/sao_paulo', 'America/Sao_Paulo'],
  ['UTC', 'UTC'],
])('zone %s is %s', async (zone, canonical) => {
  const control = await testControl();
  expect(await control.call(tenantCreate, OPERATOR, { name: 'a', zone })).toMatchObject({ zone: canonical });
});

test.each(['Mars/Olympus', '+08:00', '', 'Asia/Shanghai; drop'])('zone %j is refused', async (zone) => {
  const control = await testControl();
  const { details } = await refusal(control.call(tenantCreate, OPERATOR, { name: 'a', zone }));
  expect(details['faults']).toMatchObject([{ field: 'zone' }]);
});

test('making one is in the audit', async () => {
  const control = await testControl();
  const { tenantId } = await control.call(tenantCreate, OPERATOR, { name: 'a' });
  const { items } = await control.call(auditList, OPERATOR, { tenantId });
  expect(items).toMatchObject([{ verb: 'tenant.create', actor: 'operator', subject: tenantId, atMs: control.nowMs }]);
});
