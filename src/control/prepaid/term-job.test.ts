import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { endpointShow } from '../endpoint/show.ts';
import { OPERATOR, refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { groupAutoRenew } from '../group/auto-renew.ts';
import { groupShow } from '../group/show.ts';
import { runJobs, runJobsDying } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { orderList } from '../order/list.ts';
import { orderNew } from '../order/new.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { walletTopUp } from '../wallet/top-up.ts';
import { accountsOf, at, balanceOf, buy, DAY_MS, prepaidWorld } from './fixture.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld());
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const show = (groupId: string) => control.call(groupShow, tenant.manager, { groupId });
const jobs = () => runJobs(control);
async function notices() {
  const { items } = await control.call(noticeList, tenant.reader, { limit: 200 });
  return items.map(({ kind, dueAtMs }) => [kind, dueAtMs] as const).reverse();
}
const until = async (time: string) => {
  control.nowMs = at(time);
  await jobs();
};

describe('the last days of a term', () => {
  test('a reminder at noon of each of the last 7 days, then expiry, grace, reclaim', async () => {
    const groupId = await buy(control, tenant);
    await until('2026-05-06T12:00');
    expect(await notices()).toEqual([]);
    for (let day = 7; day <= 13; day++) {
      await until(`2026-05-${String(day).padStart(2, '0')}T12:00`);
      await jobs();
      expect(await notices()).toHaveLength(day - 6);
    }
    await until('2026-05-14T12:00');
    expect((await notices()).at(-1)).toEqual(['expired', at('2026-05-14T12:00')]);
    // In the grace day the units serve.
    expect(await show(groupId)).toMatchObject({ state: 'active', unitsReady: 2 });
    await until('2026-05-15T11:59:59');
    expect(await show(groupId)).toMatchObject({ state: 'active' });
    await until('2026-05-15T12:00');
    expect(await show(groupId)).toMatchObject({ state: 'reclaimed', endedAtMs: at('2026-05-15T12:00'), unitsReady: 0 });
    await control.provisioner().reconcile();
    expect(Object.values(control.fleet.states())).toEqual(['draining', 'draining']);
    // The endpoint stays as it was set up, and units can be bought for it again.
    expect(await control.call(endpointShow, tenant.manager, { endpointId: 'chat' })).toMatchObject({
      state: 'stopped',
    });
    control.fleet.allDrained();
    const again = { endpointId: 'chat', units: 1, billingType: 'prepaid', months: 1 } as const;
    expect(await control.call(orderNew, tenant.manager, again)).toMatchObject({ order: { state: 'provisioning' } });
    const late = await refusal(control.call(orderRenew, tenant.manager, { groupId }));
    expect(late).toMatchObject({ code: 'invalid_transition' });
    expect(late.message).toContain('Order a new group');
  });

  test('after days of downtime the same happened, in the same order', async () => {
    await buy(control, tenant);
    for (let day = 1; day <= 40; day++) {
      control.nowMs += DAY_MS;
      await jobs();
    }
    const steady = await notices();
    const accounts = await accountsOf(control);
    ({ control, tenant } = await prepaidWorld());
    await buy(control, tenant);
    control.nowMs += 40 * DAY_MS;
    await jobs();
    expect(await notices()).toEqual(steady);
    expect(steady.map(([kind]) => kind)).toEqual([...Array(7).fill('expiring'), 'expired', 'reclaimed']);
    expect(await accountsOf(control)).toEqual(accounts);
  });

  test('killed in any transaction and started again, nothing is done twice and nothing left out', async () => {
    const life = async (run: () => Promise<unknown>) => {
      ({ control, tenant } = await prepaidWorld('7000'));
      await buy(control, tenant, { units: 1, autoRenewMonths: 1 });
      control.nowMs += 45 * DAY_MS;
      await run();
      return [await notices(), await accountsOf(control)];
    };
    const steady = await life(jobs);
    let made = 0;
    let deaths = 0;
    const mortal = await life(async () => {
      deaths = await runJobsDying(control, () => ++made % 7 === 0 && deaths < 1000);
    });
    expect(mortal).toEqual(steady);
    expect(deaths).toBeGreaterThan(10);
  });

  test('a renewal in the grace day goes on without a free day', async () => {
    const groupId = await buy(control, tenant);
    await until('2026-05-15T11:00');
    await control.call(orderRenew, tenant.manager, { groupId });
    await until('2026-06-14T12:00');
    expect((await show(groupId)).term).toMatchObject({ expiryDay: '2026-06-13' });
    expect((await notices()).map(([kind]) => kind)).toEqual([
      ...Array(7).fill('expiring'),
      'expired',
      ...Array(7).fill('expiring'),
      'expired',
    ]);
    await until('2026-06-16T00:00');
    expect(await accountsOf(control)).toMatchObject({ unearned: 0n, revenue: 2n * 3_456_000_000n });
  });

  test('units that were on their way at the reclaim are paid back', async () => {
    const groupId = await buy(control, tenant);
    control.nowMs = at('2026-05-14T11:59');
    await control.call(orderResize, tenant.manager, { groupId, units: 3 });
    await until('2026-05-15T12:00');
    expect(await show(groupId)).toMatchObject({ state: 'reclaimed', charge: { amount: '3456.000000' } });
    expect(await balanceOf(control, tenant)).toBe('16544.000000');
  });
});

describe('auto-renewal', () => {
  test('three days before expiry, for the months that were chosen', async () => {
    const groupId = await buy(control, tenant, { autoRenewMonths: 2 });
    await until('2026-05-11T11:59');
    expect((await show(groupId)).term).toMatchObject({ months: 1 });
    await until('2026-05-11T12:00');
    expect((await show(groupId)).term).toMatchObject({ months: 3, expiryDay: '2026-07-13', autoRenewFailure: null });
    const { items } = await control.call(orderList, tenant.manager, { groupId });
    expect(items[0]).toMatchObject({ kind: 'renew', months: 2, amount: { amount: '6912.000000' }, state: 'active' });
    await jobs();
    expect(await balanceOf(control, tenant)).toBe('9632.000000');
  });

  test('tried once a day while there is too little money, each time saying why, until it is there', async () => {
    const poor = await control.tenant('3460');
    tenant = poor;
    const groupId = await buy(control, tenant, { autoRenewMonths: 1 });
    await until('2026-05-13T13:00');
    expect((await notices()).filter(([kind]) => kind === 'renew_failed')).toEqual([
      ['renew_failed', at('2026-05-11T12:00')],
      ['renew_failed', at('2026-05-12T12:00')],
      ['renew_failed', at('2026-05-13T12:00')],
    ]);
    expect((await show(groupId)).term?.autoRenewFailure).toContain('top up 3452.000000 CNY');
    await control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount: '4000' });
    await until('2026-05-14T12:00');
    expect((await show(groupId)).term).toMatchObject({ expiryDay: '2026-06-13', autoRenewFailure: null });
    expect((await notices()).at(-1)?.[0]).toBe('renewed');
  });

  test('that never succeeds ends in the reclaim', async () => {
    tenant = await control.tenant('3460');
    const groupId = await buy(control, tenant, { autoRenewMonths: 1 });
    control.nowMs += 60 * DAY_MS;
    await jobs();
    expect((await notices()).filter(([kind]) => kind === 'renew_failed')).toHaveLength(4);
    expect(await show(groupId)).toMatchObject({ state: 'reclaimed' });
  });

  test('a year of it: no gap, every day earned, nothing unearned at the end', async () => {
    ({ control, tenant } = await prepaidWorld('30000'));
    const groupId = await buy(control, tenant, { units: 1, autoRenewMonths: 3 });
    control.nowMs = at('2027-04-01T00:00');
    await jobs();
    const terms = await control.store.db.selectFrom('prepaid_terms').selectAll().orderBy('from_ms').execute();
    expect(terms.map((term) => term.expiry_day)).toEqual([
      '2026-05-13',
      '2026-08-13',
      '2026-11-13',
      '2027-02-13',
      '2027-05-13',
    ]);
    expect(terms.slice(1).map((term) => term.from_ms)).toEqual(terms.slice(0, -1).map((term) => term.to_ms));
    await control.call(groupAutoRenew, tenant.manager, { groupId, enabled: false });
    control.nowMs = at('2027-05-16T00:00');
    await jobs();
    expect(await accountsOf(control)).toMatchObject({ unearned: 0n, revenue: 13n * 1_728_000_000n });
  });

  test('can be switched on and off, but not off on the last day', async () => {
    const groupId = await buy(control, tenant);
    const set = (enabled: boolean) => control.call(groupAutoRenew, tenant.manager, { groupId, enabled, months: 3 });
    expect((await set(true)).term).toMatchObject({ autoRenewMonths: 3 });
    expect((await set(false)).term).toMatchObject({ autoRenewMonths: null });
    await set(true);
    control.nowMs = at('2026-05-13T12:00');
    const locked = await refusal(set(false));
    expect(locked).toMatchObject({ code: 'conflict', details: { lockedToMs: at('2026-05-14T12:00') } });
    control.nowMs = at('2026-05-13T11:59:59');
    await set(false);
    control.nowMs = at('2026-05-15T12:00');
    expect((await refusal(set(true))).code).toBe('conflict');
  });

  test('of postpaid units there is none', async () => {
    const { groups } = await control.endpoint(tenant.manager);
    const input = { groupId: groups[0]!.groupId, enabled: true };
    expect((await refusal(control.call(groupAutoRenew, tenant.manager, input))).message).toContain('is postpaid');
  });
});
