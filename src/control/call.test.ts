import { describe, expect, test } from 'vitest';
import { endpointCreate } from './endpoint/create.ts';
import { OPERATOR, refusal, testControl } from './fixture.ts';
import { KEPT_MS } from './idempotency.ts';
import { keyCreate } from './key/create.ts';
import { keyList } from './key/list.ts';
import { tenantCreate } from './tenant/create.ts';
import { walletShow } from './wallet/show.ts';
import { walletTopUp } from './wallet/top-up.ts';

describe('input', () => {
  test('names every faulty and every unknown field', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const input = { name: 'Chat!', models: [{ modelId: 'alpha', units: -1, colour: 'red' }], size: 1 };
    const { code, details } = await refusal(control.call(endpointCreate, manager, input as never));
    expect(code).toBe('invalid_request');
    const fields = details['faults'].map((fault: { field: string }) => fault.field);
    expect(fields.sort()).toEqual(['models.0.colour', 'models.0.units', 'name', 'size']);
  });
});

describe('Idempotency-Key', () => {
  test('the same request answers as before and does nothing twice', async () => {
    const control = await testControl();
    const input = { name: 'acme' };
    const first = await control.call(tenantCreate, OPERATOR, input, 'k1');
    expect(await control.call(tenantCreate, OPERATOR, input, 'k1')).toEqual(first);
    expect(await control.store.db.selectFrom('tenants').selectAll().execute()).toHaveLength(1);
    const other = await control.call(tenantCreate, OPERATOR, input, 'k2');
    expect(other.tenantId).not.toBe(first.tenantId);
  });

  test('money is booked once', async () => {
    const control = await testControl();
    const { tenantId } = await control.tenant('0');
    const topUp = () => control.call(walletTopUp, OPERATOR, { tenantId, amount: '5' }, 'pay-1');
    const answers = await Promise.all([topUp(), topUp(), topUp()]);
    expect(new Set(answers.map((answer) => answer.transactionId)).size).toBe(1);
    expect(await control.call(walletShow, OPERATOR, { tenantId })).toMatchObject({ balance: { amount: '5.000000' } });
  });

  test('another request under the same key is a conflict', async () => {
    const control = await testControl();
    await control.call(tenantCreate, OPERATOR, { name: 'acme' }, 'k1');
    const { code } = await refusal(control.call(tenantCreate, OPERATOR, { name: 'other' }, 'k1'));
    expect(code).toBe('idempotency_conflict');
  });

  test('keys of two tenants are apart', async () => {
    const control = await testControl();
    const [one, two] = [await control.tenant(), await control.tenant()];
    const a = await control.call(keyCreate, one.manager, { name: 'x' }, 'same');
    const b = await control.call(keyCreate, two.manager, { name: 'x' }, 'same');
    expect(a.tenantId).toBe(one.tenantId);
    expect(b.tenantId).toBe(two.tenantId);
  });

  test('a request that was refused may be sent again', async () => {
    const control = await testControl();
    const { manager, tenantId } = await control.tenant('0');
    const order = () =>
      control.call(endpointCreate, manager, { name: 'chat', models: [{ modelId: 'alpha', units: 1 }] }, 'e1');
    expect((await refusal(order())).code).toBe('payment_required');
    await control.call(walletTopUp, OPERATOR, { tenantId, amount: '10' });
    expect(await order()).toMatchObject({ name: 'chat', state: 'creating' });
  });

  test('what is shown once is neither stored nor shown again', async () => {
    const control = await testControl();
    const { manager } = await control.tenant();
    const first = await control.call(keyCreate, manager, { name: 'x' }, 'k');
    expect(first.key).toMatch(/^sk-cubit-[\w-]{43}$/);
    const replay = await control.call(keyCreate, manager, { name: 'x' }, 'k');
    expect(replay).toEqual({ ...first, key: null });
    const tables = ['idempotency', 'api_keys', 'audit'] as const;
    for (const table of tables) {
      const rows = await control.store.db.selectFrom(table).selectAll().execute();
      expect(JSON.stringify(rows), table).not.toContain(first.key);
    }
    expect((await control.call(keyList, manager, {})).items).toHaveLength(3);
  });

  test('answers are kept for a bounded time', async () => {
    const control = await testControl();
    await control.call(tenantCreate, OPERATOR, { name: 'acme' }, 'old');
    control.nowMs += KEPT_MS + 1;
    await control.call(tenantCreate, OPERATOR, { name: 'acme' }, 'new');
    const rows = await control.store.db.selectFrom('idempotency').select('key').execute();
    expect(rows).toEqual([{ key: 'new' }]);
  });

  test.each(['', 'x'.repeat(201)])('a key of the wrong length is refused', async (key) => {
    const control = await testControl();
    const { code } = await refusal(control.call(tenantCreate, OPERATOR, { name: 'acme' }, key));
    expect(code).toBe('invalid_request');
  });
});
