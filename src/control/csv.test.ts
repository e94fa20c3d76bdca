import { expect, test } from 'vitest';
import { csvOf } from './csv.ts';
import { OPERATOR_TOKEN, testControl } from './fixture.ts';

test('a row an item, nested fields flat, quotes where needed, no formulas', () => {
  const items = [
    { id: 'a', cost: { amount: '-1.500000', currency: 'CNY' }, note: 'x, "y"\nz', on: true },
    { id: '=1+1', list: [1, 2], note: null },
  ];
  expect(csvOf({ items })).toBe(
    'id,cost.amount,cost.currency,note,on,list\r\na,-1.500000,CNY,"x, ""y""\nz",true,\r\n\'=1+1,,,,,"[1,2]"\r\n',
  );
  expect(csvOf({ items: [] })).toBe('\r\n');
  expect(() => csvOf({ tenantId: 't' })).toThrow(/Only lists/);
});

test('lists come as CSV over HTTP where that is asked for', async () => {
  const control = await testControl();
  const { tenantId } = await control.tenant();
  const accept = { token: OPERATOR_TOKEN, headers: { accept: 'text/csv' } };
  const list = await control.http('GET', '/api/v1/tenants', accept);
  expect(list.headers.get('content-type')).toBe('text/csv; charset=utf-8');
  expect(list.body['text']).toMatch(/^tenantId,name,.*\r\n/);
  expect(list.body['text']).toContain(`${tenantId},acme,`);
  const one = await control.http('GET', `/api/v1/tenants/${tenantId}`, accept);
  expect([one.status, one.body['error'].code]).toEqual([400, 'invalid_request']);
});
