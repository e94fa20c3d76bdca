import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointPreview } from '../endpoint/preview.ts';
import { refusal, START_MS, type TestControl, type TestTenant } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { orderPreviewNew } from '../order/preview-new.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderPreviewUnsubscribe } from '../order/preview-unsubscribe.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderShow } from '../order/show.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { accountsOf, at, balanceOf, buy, DAY_MS, prepaid, prepaidWorld, recogniseNow } from './fixture.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control, tenant } = await prepaidWorld());
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const bought = (wanted: object = {}) => buy(control, tenant, wanted);
const balance = () => balanceOf(control, tenant);
const accounts = () => accountsOf(control);
const recognise = () => recogniseNow(control, tenant);
const show = (groupId: string) => control.call(groupShow, tenant.manager, { groupId });

describe('resized', () => {
  test('more units pay the rest of the term, of every term that is paid', async () => {
    const groupId = await bought({ months: 1 });
    await control.call(orderRenew, tenant.manager, { groupId });
    control.nowMs = at('2026-04-30T12:00');
    const before = Number(await balance());
    const preview = await control.call(orderPreviewResize, tenant.reader, { groupId, units: 3 });
    // 14 of the first term's 31 d 3 h, and the second whole.
    const rest = Math.round((1_728e6 * 14 * 24) / (31 * 24 + 3));
    expect(preview.payNow.amount).toBe(((rest + 1_728e6) / 1e6).toFixed(6));
    expect(preview.orders[0]!.arithmetic[0]).toContain(
      '1 unit × 1 month × 1728.000000 CNY/month × 1209600 s ÷ 2689200 s',
    );
    const { quoteId } = preview;
    const { order } = await control.call(orderResize, tenant.manager, { groupId, units: 3, quoteId });
    expect(order.amount).toEqual(preview.payNow);
    await control.provisioned();
    expect(await show(groupId)).toMatchObject({ state: 'active', units: 3, unitsReady: 3 });
    expect(before - Number(await balance())).toBeCloseTo(Number(preview.payNow.amount), 5);
  });

  test('units that do not come are paid back in full, the others go on', async () => {
    const groupId = await bought();
    const before = await balance();
    control.nowMs += 5 * DAY_MS;
    await control.call(orderResize, tenant.manager, { groupId, units: 3 });
    const provisioner = control.provisioner();
    await provisioner.reconcile();
    control.nowMs += DAY_MS;
    await recognise();
    for (const [id, state] of Object.entries(control.fleet.states())) {
      if (state === 'starting') control.fleet.become(id, 'failed', 'no memory');
    }
    await provisioner.reconcile();
    expect(await show(groupId)).toMatchObject({ state: 'active', units: 2, charge: { amount: '3456.000000' } });
    expect(await balance()).toBe(before);
  });

  test('fewer units: the penalty is shown before it is agreed, and what is kept runs on', async () => {
    const groupId = await bought();
    control.nowMs = at('2026-04-30T12:00');
    const blind = await refusal(control.call(orderResize, tenant.manager, { groupId, units: 1 }));
    expect(blind).toMatchObject({ code: 'invalid_request', details: { faults: [{ field: 'quoteId' }] } });
    const { quoteId, orders } = await control.call(orderPreviewResize, tenant.manager, { groupId, units: 1 });
    const unused = (1_728_000_000n * 1_209_600n) / 2_689_200n;
    const refund = (1_728_000_000n * 1_209_600n * 7n) / (2_689_200n * 10n);
    expect(orders[0]).toMatchObject({
      payBack: { amount: (Number(refund) / 1e6).toFixed(6) },
      penalty: { amount: (Number(unused - refund) / 1e6).toFixed(6) },
      term: null,
    });
    const { group } = await control.call(orderResize, tenant.manager, { groupId, units: 1, quoteId });
    expect(group).toMatchObject({ units: 1, state: 'active' });
    expect(group.term).toMatchObject({ expiryDay: '2026-05-13' });
    control.nowMs = at('2026-05-15T00:00');
    await recognise();
    expect(await accounts()).toMatchObject({ unearned: 0n, revenue: 3_456_000_000n - refund });
  });

  test('not in the grace day: renew first', async () => {
    const groupId = await bought();
    control.nowMs = at('2026-05-14T12:00');
    const answer = await refusal(control.call(orderResize, tenant.manager, { groupId, units: 3 }));
    expect(answer.message).toContain('Renew it first');
  });
});

describe('unsubscribed', () => {
  test('paid × unused ÷ term × (1 − penalty), and never all of it', async () => {
    const groupId = await bought();
    control.nowMs = at('2026-04-30T12:00');
    await recognise();
    const { quoteId, payBack } = await control.call(orderPreviewUnsubscribe, tenant.reader, { groupId });
    const refund = (3_456_000_000n * 1_209_600n * 7n) / (2_689_200n * 10n);
    expect(payBack.amount).toBe((Number(refund) / 1e6).toFixed(6));
    const { order, group } = await control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId });
    expect(order.amount.amount).toBe(`-${payBack.amount}`);
    expect(group).toMatchObject({
      state: 'unsubscribed',
      charge: { amount: ((3456e6 - Number(refund)) / 1e6).toFixed(6) },
    });
    expect(await accounts()).toMatchObject({ unearned: 0n, revenue: 3_456_000_000n - refund });
    expect(await control.call(orderShow, tenant.manager, { orderId: order.orderId })).toEqual(order);
  });

  test('a quote holds for ten minutes and pays exactly what it said; then it has changed', async () => {
    const groupId = await bought();
    const { quoteId, payBack } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    control.nowMs += 600_001;
    const late = await refusal(control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId }));
    expect(late.code).toBe('quote_changed');
    control.nowMs -= 1;
    const { order } = await control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId });
    expect(order.amount.amount).toBe(`-${payBack.amount}`);
  });

  test('renewed, resized or repriced meanwhile: the quote has changed and nothing is done', async () => {
    const groupId = await bought();
    const { quoteId } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    await control.call(orderRenew, tenant.manager, { groupId });
    const before = await balance();
    const answer = await refusal(control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId }));
    expect(answer).toMatchObject({ code: 'quote_changed', details: { param: 'quoteId' } });
    expect([await balance(), (await show(groupId)).state]).toEqual([before, 'active']);
  });

  test.each(['x', 'q-zzz', `q-${'9'.repeat(10)}-${'0'.repeat(32)}`])('%s is no quote', async (quoteId) => {
    const groupId = await bought();
    const answer = await refusal(control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId }));
    expect(['invalid_request', 'quote_changed']).toContain(answer.code);
  });

  test('months that have not begun pay the penalty too, and only it', async () => {
    const groupId = await bought({ units: 1 });
    await control.call(orderRenew, tenant.manager, { groupId });
    control.nowMs = at('2026-05-14T12:00:00');
    const { payBack } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    expect(payBack.amount).toBe('1209.600000');
  });

  test('before the units were ready: paid back in full, without a penalty', async () => {
    const made = await control.call(endpointCreate, tenant.manager, { name: 'chat', models: [prepaid] });
    const { groupId } = made.groups[0]!;
    await control.call(orderUnsubscribe, tenant.manager, { groupId });
    expect([await balance(), (await show(groupId)).charge.amount]).toEqual(['20000.000000', '0.000000']);
  });

  test('of a renewal and an unsubscription at once, both are whole', async () => {
    const groupId = await bought();
    const { quoteId } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    const both = await Promise.allSettled([
      control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId }),
      control.call(orderRenew, tenant.manager, { groupId }),
    ]);
    expect(both.map((one) => one.status)).toEqual(['fulfilled', 'rejected']);
    expect(await accounts()).toMatchObject({ unearned: 0n });
  });

  test('a clock that was set back gives nothing back that is earned', async () => {
    const groupId = await bought();
    control.nowMs = at('2026-05-01T10:00');
    await recognise();
    control.nowMs = at('2026-04-14T10:00');
    const { quoteId, orders } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    const used = at('2026-05-01T00:00') - START_MS;
    const left = 2_689_200 - used / 1000;
    expect(orders[0]!.arithmetic[0]).toContain(`× ${left} s ÷ 2689200 s`);
    await control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId });
  });
});

describe('previews of what is new', () => {
  test('an endpoint: what it costs, its terms, and placing agrees', async () => {
    const models = [
      { ...prepaid, trafficPercent: 60 },
      { modelId: 'beta', units: 1, trafficPercent: 40 },
    ];
    const preview = await control.call(endpointPreview, tenant.reader, { models });
    expect(preview).toMatchObject({
      payNow: { amount: '3456.000000' },
      walletAvailable: { amount: '20000.000000' },
      orders: [
        { billingType: 'prepaid', term: { expiryDay: '2026-05-13' }, nextBill: null },
        { billingType: 'postpaid', term: null, nextBill: { amount: { amount: '1.800000' } } },
      ],
    });
    const { quoteId } = preview;
    control.nowMs += 60_000;
    await control.call(endpointCreate, tenant.manager, { name: 'chat', models, quoteId });
    expect(await balance()).toBe('16544.000000');
    const [first] = models;
    const other = { name: 'more', models: [{ ...first!, trafficPercent: 100 }], quoteId };
    expect((await refusal(control.call(endpointCreate, tenant.manager, other))).code).toBe('quote_changed');
  });

  test('another group, and the next bill of a postpaid one', async () => {
    const { groups } = await control.endpoint(tenant.manager, 1);
    await control.provisioned();
    control.nowMs += 1_800_000;
    const input = { endpointId: 'chat', tenantId: tenant.tenantId, units: 1 };
    const more = await control.call(orderPreviewNew, tenant.reader, { ...input, billingType: 'prepaid', months: 3 });
    expect(more).toMatchObject({ payNow: { amount: '5184.000000' }, orders: [{ term: { expiryDay: '2026-07-13' } }] });
    const { groupId } = groups[0]!;
    const resize = await control.call(orderPreviewResize, tenant.reader, { groupId, units: 3 });
    // Half an hour of one unit and half an hour of three, at 3.60.
    expect(resize.orders[0]).toMatchObject({
      payNow: { amount: '0.000000' },
      nextBill: { amount: { amount: '7.200000' } },
    });
    const end = await control.call(orderPreviewUnsubscribe, tenant.reader, { groupId });
    expect(end.orders[0]!.nextBill).toMatchObject({ amount: { amount: '1.800000' } });
  });
});
