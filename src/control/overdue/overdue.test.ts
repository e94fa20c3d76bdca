import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { billSettle } from '../billing/settle-now.ts';
import { endpointShow } from '../endpoint/show.ts';
import { DRAIN_MS, OPERATOR, refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { runJobs } from '../jobs/fixture.ts';
import { noticeList } from '../notice/list.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewUnsubscribe } from '../order/preview-unsubscribe.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { at, balanceOf, prepaidWorld } from '../prepaid/fixture.ts';
import { walletShow } from '../wallet/show.ts';
import { walletTopUp } from '../wallet/top-up.ts';

/** One unit of 3.60 an hour from 09:00; the wallet holds two hours and a bit: the third bill, 13:00, takes it below zero. */
let control: TestControl;
let tenant: TestTenant;
let groupId: string;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld('8.00'));
  const made = await control.endpoint(tenant.manager);
  groupId = made.groups[0]!.groupId;
  await control.provisioned();
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const jobs = () => runJobs(control);
const show = () => control.call(groupShow, tenant.manager, { groupId });
const until = async (time: string) => {
  control.nowMs = at(time);
  await jobs();
};
async function notices() {
  const { items } = await control.call(noticeList, tenant.reader, { limit: 200 });
  return items.map(({ kind, dueAtMs }) => [kind, dueAtMs] as const).reverse();
}
const topUp = (amount: string) => control.call(walletTopUp, OPERATOR, { tenantId: tenant.tenantId, amount });

describe('overdue', () => {
  test('from the charge that went below zero; told at once, 12 h and 1 h before; reclaimed 24 h later', async () => {
    await until('2026-04-13T12:59');
    expect(await control.call(walletShow, tenant.manager, {})).toMatchObject({ overdue: null });
    await until('2026-04-13T13:00');
    expect(await control.call(walletShow, tenant.manager, {})).toMatchObject({
      balance: { amount: '-2.800000' },
      overdue: { sinceMs: at('2026-04-13T13:00'), reclaimAtMs: at('2026-04-14T13:00') },
    });
    await until('2026-04-14T12:59');
    expect(await show()).toMatchObject({ state: 'active', unitsReady: 1 });
    expect(await notices()).toEqual([
      ['overdue', at('2026-04-13T13:00')],
      ['overdue', at('2026-04-14T01:00')],
      ['overdue', at('2026-04-14T12:00')],
    ]);
    await until('2026-04-14T13:00');
    // 28 h are owed, not a second more.
    expect(await show()).toMatchObject({
      state: 'reclaimed',
      billedSeconds: 28 * 3600,
      endedAtMs: at('2026-04-14T13:00'),
    });
    await control.provisioner().reconcile();
    // Running streams get the time that every drain has; the process is not killed under them.
    expect(Object.values(control.fleet.states())).toEqual(['draining']);
    expect(control.fleet.drains).toMatchObject([{ drainMs: DRAIN_MS }]);
    expect(await control.call(endpointShow, tenant.manager, { endpointId: 'chat' })).toMatchObject({
      state: 'stopped',
    });
    await until('2026-04-20T00:00');
    expect(await balanceOf(control, tenant)).toBe((8 - 28 * 3.6).toFixed(6));
    expect((await notices()).map(([kind]) => kind)).toEqual(['overdue', 'overdue', 'overdue', 'overdue_reclaimed']);
  });

  test('its endpoint stays as it was set up, and units are bought for it again once the wallet has money', async () => {
    const settings = async () => {
      const { endpointId, name, models, maxWaitMs, overflowPolicy } = await control.call(endpointShow, tenant.manager, {
        endpointId: 'chat',
      });
      const kept = models.map(({ modelId, templateId, coefficient }) => ({ modelId, templateId, coefficient }));
      return { endpointId, name, kept, maxWaitMs, overflowPolicy };
    };
    const before = await settings();
    await until('2026-04-15T00:00');
    expect(await show()).toMatchObject({ state: 'reclaimed' });
    expect(await settings()).toEqual(before);
    await control.provisioner().reconcile();
    control.fleet.allDrained();
    await topUp('1000');
    const { group } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    await control.provisioned();
    expect(await control.call(groupShow, tenant.manager, { groupId: group.groupId })).toMatchObject({
      state: 'active',
      unitsReady: 1,
    });
    expect(await control.call(endpointShow, tenant.manager, { endpointId: 'chat' })).toMatchObject({ state: 'ready' });
  });

  test('after days of downtime the same happened: nothing is billed beyond the reclaim', async () => {
    await until('2026-04-20T00:00');
    expect(await show()).toMatchObject({
      state: 'reclaimed',
      billedSeconds: 28 * 3600,
      endedAtMs: at('2026-04-14T13:00'),
    });
    expect(await balanceOf(control, tenant)).toBe((8 - 28 * 3.6).toFixed(6));
  });

  test('bills that are asked for by hand do not run ahead of it', async () => {
    control.nowMs = at('2026-04-20T00:00');
    await control.call(billSettle, OPERATOR, {});
    await jobs();
    expect(await show()).toMatchObject({ billedSeconds: 28 * 3600 });
  });

  test('a top-up in time clears it, and the next time counts anew', async () => {
    await until('2026-04-14T12:59');
    await topUp('100');
    expect(await control.call(walletShow, tenant.manager, {})).toMatchObject({ overdue: null });
    await until('2026-04-14T13:30');
    expect(await show()).toMatchObject({ state: 'active' });
    expect((await notices()).map(([kind]) => kind)).toEqual(['overdue', 'overdue', 'overdue', 'overdue_cleared']);
    await until('2026-04-16T00:00');
    expect((await notices()).filter(([kind]) => kind === 'overdue').length).toBeGreaterThan(3);
  });

  test('a top-up that leaves something owed does not, nor one that is late', async () => {
    await until('2026-04-13T14:00');
    await topUp('1');
    expect((await control.call(walletShow, tenant.manager, {})).overdue).not.toBeNull();
    control.nowMs = at('2026-04-14T13:00');
    await topUp('1000');
    await jobs();
    expect(await show()).toMatchObject({ state: 'reclaimed' });
  });

  test('nothing more is sold meanwhile', async () => {
    await until('2026-04-13T13:00');
    const order = control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    expect((await refusal(order)).code).toBe('payment_required');
  });

  test('who has nothing that could be taken back is not overdue', async () => {
    control.nowMs = at('2026-04-13T11:45');
    await control.call(orderUnsubscribe, tenant.manager, { groupId });
    await until('2026-04-15T00:00');
    expect(await balanceOf(control, tenant)).toBe('-1.900000');
    expect(await notices()).toEqual([]);
  });
});

test('prepaid units of an overdue tenant stay, and what is paid back for them clears it', async () => {
  ({ control, tenant } = await prepaidWorld('1736'));
  const made = await control.endpoint(tenant.manager);
  groupId = made.groups[0]!.groupId;
  const months = { billingType: 'prepaid', months: 1 } as const;
  const { group } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1, ...months });
  await control.provisioned();
  await until('2026-04-13T13:00');
  expect((await control.call(walletShow, tenant.manager, {})).overdue).not.toBeNull();
  const { quoteId } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId: group.groupId });
  await control.call(orderUnsubscribe, tenant.manager, { groupId: group.groupId, quoteId });
  expect((await control.call(walletShow, tenant.manager, {})).overdue).toBeNull();
  await until('2026-04-14T13:00');
  expect(await show()).toMatchObject({ state: 'active' });
});
