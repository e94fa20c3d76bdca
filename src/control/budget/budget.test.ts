import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { insertReceipts } from '../../store/receipts.ts';
import { refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { runJobs, runJobsDying } from '../jobs/fixture.ts';
import { keyCreate } from '../key/create.ts';
import { keyUpdate } from '../key/update.ts';
import { noticeList } from '../notice/list.ts';
import { at, prepaidWorld } from '../prepaid/fixture.ts';
import { receipt } from '../usage/fixture.ts';
import { budgetList } from './list.ts';
import { budgetRemove } from './remove.ts';
import { budgetSet } from './set.ts';
import { budgetState } from './state.ts';

/** One unit of 3.60 an hour from 29 April, 09:00. */
let control: TestControl;
let tenant: TestTenant;
async function world(): Promise<void> {
  ({ control, tenant } = await prepaidWorld());
  control.nowMs = at('2026-04-29T09:00');
  await control.endpoint(tenant.manager);
  await control.provisioned();
}
beforeEach(world);
afterEach(() => expect(control.errors).toEqual([]));

const set = (input: { amount: string; label?: string; hardStop?: boolean }) =>
  control.call(budgetSet, tenant.manager, input);
const state = () => control.call(budgetState, tenant.reader, {});
const until = async (time: string) => {
  control.nowMs = at(time);
  await runJobs(control);
};
async function told() {
  const { items } = await control.call(noticeList, tenant.reader, { kind: 'budget_threshold', limit: 200 });
  return items.reverse().map(({ dueAtMs, detail }) => [dueAtMs, detail['percent'], detail['month']] as const);
}

describe('thresholds', () => {
  test('are told at the hour they are reached, billed or not, once a month; the next month counts anew', async () => {
    await set({ amount: '72.00' }); // 20 hours
    await until('2026-05-02T10:00');
    expect(await told()).toEqual([
      [at('2026-04-29T19:00'), 50, '2026-04'],
      [at('2026-04-30T01:00'), 80, '2026-04'],
      [at('2026-04-30T05:00'), 100, '2026-04'],
      [at('2026-05-01T10:00'), 50, '2026-05'],
      [at('2026-05-01T16:00'), 80, '2026-05'],
      [at('2026-05-01T20:00'), 100, '2026-05'],
    ]);
    const { items } = await control.call(noticeList, tenant.reader, { kind: 'budget_threshold' });
    expect(items[0]?.title).toBe('Budget: 100 % of 72.000000 CNY spent');
    expect(items[0]?.text).toContain(`In 2026-05, 72.000000 CNY of the budget of 72.000000 CNY for ${tenant.tenantId}`);
  });

  test('the same after a downtime, and through any number of deaths', async () => {
    await set({ amount: '72.00' });
    for (let hour = 10; hour <= 23; hour++) await until(`2026-04-29T${hour}:00`);
    for (let hour = 0; hour <= 9; hour++) await until(`2026-04-30T0${hour}:00`);
    const onTime = await told();
    expect(onTime).toHaveLength(3);
    await world();
    await set({ amount: '72.00' });
    control.nowMs = at('2026-04-30T09:00');
    let asked = 0;
    expect(await runJobsDying(control, () => ++asked % 5 === 0)).toBeGreaterThan(5);
    expect(await told()).toEqual(onTime);
  });

  test('passed as the budget is set: the highest is told at once; another amount is told anew', async () => {
    await until('2026-04-29T19:00');
    expect(await set({ amount: '40.00' })).toMatchObject({
      spent: { amount: '36.000000' },
      percent: 90,
      stopped: false,
    });
    await set({ amount: '40.00' });
    expect((await told()).map(([, percent]) => percent)).toEqual([80]);
    control.nowMs += 1;
    expect(await set({ amount: '60.00' })).toMatchObject({ percent: 60 });
    expect((await told()).map(([, percent]) => percent)).toEqual([80, 50]);
    expect((await control.call(budgetList, tenant.reader, {})).items).toMatchObject([
      { amount: { amount: '60.000000' } },
    ]);
  });
});

describe('labels', () => {
  test('a label’s part is what its keys are charged, idle share included, and what is not billed yet', async () => {
    const key = await control.call(keyCreate, tenant.manager, { name: 'a', label: ['team=search'] });
    const other = await control.call(keyCreate, tenant.manager, { name: 'b' });
    const served = await control.store.db.selectFrom('served_models').selectAll().executeTakeFirstOrThrow();
    const work = (n: number, keyId: string, time: string, seconds: number) =>
      receipt(n, {
        tenantId: tenant.tenantId,
        keyId,
        endpointId: served.endpoint_id,
        servedModelId: served.id,
        actual: { prefillUs: 0, decodeUs: seconds * 1_000_000 },
        endedAtMs: at(time),
      });
    await insertReceipts(control.store.db, [
      work(1, key.keyId, '2026-04-29T09:30', 100),
      work(2, other.keyId, '2026-04-29T09:30', 300),
      work(3, key.keyId, '2026-04-29T12:15', 10),
    ]);
    await set({ amount: '10.00', label: 'team=search', hardStop: true });
    await until('2026-04-29T12:30');
    // 09: a quarter of 3.60. 10: nobody's. 11:00 to 12:30 is not billed: all of it, 5.40.
    expect(await state()).toMatchObject({ items: [{ spent: { amount: '6.300000' }, percent: 63 }], stoppedLabels: [] });
    await set({ amount: '6.30', label: 'team=search', hardStop: true });
    expect(await state()).toMatchObject({ spillStopped: false, stoppedLabels: ['team=search'] });
    // What is settled is not read again, until a key gets other labels.
    const settled = () => control.store.db.selectFrom('budgets').select('settled_micros').executeTakeFirstOrThrow();
    await until('2026-04-29T14:00');
    expect(await settled()).toEqual({ settled_micros: 4_500_000n });
    await control.call(keyUpdate, tenant.manager, { keyId: other.keyId, label: ['team=search'] });
    expect(await state()).toMatchObject({ items: [{ spent: { amount: '7.200000' } }] });
    await until('2026-04-29T15:00');
    expect(await settled()).toEqual({ settled_micros: 7_200_000n });
  });
});

test('what is paid per token has to stop when a budget with hardStop is spent, until it is raised or gone', async () => {
  const { budgetId } = await set({ amount: '3.60', hardStop: true });
  expect(await state()).toMatchObject({ spillStopped: false });
  control.nowMs = at('2026-04-29T10:00');
  expect(await state()).toMatchObject({ spillStopped: true, items: [{ stopped: true, percent: 100 }] });
  await set({ amount: '3.60' });
  expect(await state()).toMatchObject({ spillStopped: false });
  await set({ amount: '100', hardStop: true });
  expect(await state()).toMatchObject({ spillStopped: false });
  await control.call(budgetRemove, tenant.manager, { budgetId });
  expect(await state()).toMatchObject({ spillStopped: false, items: [] });
  expect((await refusal(control.call(budgetRemove, tenant.manager, { budgetId }))).code).toBe('not_found');
});

test.each([
  { amount: '0' },
  { amount: '-5' },
  { amount: '1e9' },
  { amount: '1.1234567' },
  { amount: '' },
  { amount: '5', label: 'team' },
  { amount: 5 },
])('%j is refused', async (input) => {
  expect((await refusal(set(input as never))).code).toBe('invalid_request');
});

test('there is a most of them', async () => {
  for (let n = 0; n < 50; n++) await set({ amount: '5', label: `l=${n}` });
  expect((await refusal(set({ amount: '5' }))).code).toBe('conflict');
});
