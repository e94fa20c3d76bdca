import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { calculatorRun } from '../calculator/run.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointPreview } from '../endpoint/preview.ts';
import { refusal, type TestControl, type TestTenant } from '../fixture.ts';
import { groupAutoRenew } from '../group/auto-renew.ts';
import { groupShow } from '../group/show.ts';
import { runJobs } from '../jobs/fixture.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewNew } from '../order/preview-new.ts';
import { orderPreviewRenew } from '../order/preview-renew.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderPreviewUnsubscribe } from '../order/preview-unsubscribe.ts';
import { orderRenew } from '../order/renew.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { at, balanceOf, buy, prepaid } from '../prepaid/fixture.ts';
import { statementShow } from '../statement/show.ts';
import { templateShow } from '../template/show.ts';
import { bookOf, importBook, pricedWorld } from './fixture.ts';
import { priceList } from './prices.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control, tenant } = await pricedWorld('200000'));
});
afterEach(async () => {
  expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
});

const lots = () => control.store.db.selectFrom('prepaid_lots').selectAll().orderBy('created_at_ms').execute();
const LONG = {
  discounts: [
    { monthsMin: 3, percent: '5' },
    { monthsMin: 12, percent: '12.5' },
  ],
};

describe('a price that changes between preview and placing', () => {
  const from = '2026-04-13T09:05:00+08:00';
  beforeEach(async () => {
    await buy(control, tenant);
    await importBook(control, bookOf('dearer', from, { hourly: '7.20', monthly: '2000' }));
  });

  test.each([
    ['a new group by the month', { units: 1, billingType: 'prepaid' as const, months: 1 }],
    ['a new group by the second', { units: 1 }],
  ])('%s: quote_changed, and nothing was bought', async (_name, wanted) => {
    const input = { endpointId: 'chat', ...wanted };
    const before = await balanceOf(control, tenant);
    control.nowMs = at('2026-04-13T09:04');
    const { quoteId } = await control.call(orderPreviewNew, tenant.manager, input);
    control.nowMs = at('2026-04-13T09:06');
    const answer = await refusal(control.call(orderNew, tenant.manager, { ...input, quoteId }));
    expect(answer).toMatchObject({ code: 'quote_changed' });
    expect(answer.message).toContain('price book dearer');
    expect(await balanceOf(control, tenant)).toBe(before);
  });

  test('a renewal: quote_changed; previewed again, it is placed at the new price', async () => {
    const { groupId } = (await control.store.db
      .selectFrom('instance_groups')
      .select('id as groupId')
      .executeTakeFirst())!;
    control.nowMs = at('2026-04-13T09:04');
    const old = await control.call(orderPreviewRenew, tenant.manager, { groupId, months: 1 });
    expect(old.payNow.amount).toBe('3456.000000');
    control.nowMs = at('2026-04-13T09:06');
    const { code } = await refusal(
      control.call(orderRenew, tenant.manager, { groupId, months: 1, quoteId: old.quoteId }),
    );
    expect(code).toBe('quote_changed');
    const { quoteId, payNow } = await control.call(orderPreviewRenew, tenant.manager, { groupId, months: 1 });
    expect(payNow.amount).toBe('4000.000000');
    const { order } = await control.call(orderRenew, tenant.manager, { groupId, months: 1, quoteId });
    expect(order).toMatchObject({ amount: payNow, priceVersion: 'dearer' });
  });

  test('a resize of running units: quote_changed across the hour in which they start to pay it', async () => {
    const { group } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    await control.provisioned();
    const input = { groupId: group.groupId, units: 2 };
    control.nowMs = at('2026-04-13T09:55');
    const { quoteId } = await control.call(orderPreviewResize, tenant.manager, input);
    control.nowMs = at('2026-04-13T10:01');
    expect((await refusal(control.call(orderResize, tenant.manager, { ...input, quoteId }))).code).toBe(
      'quote_changed',
    );
  });

  test('a quote holds when the version changes other templates only', async () => {
    await importBook(control, bookOf('same', '2026-04-13T10:00:00+08:00', { hourly: '7.20', monthly: '2000' }));
    const input = { endpointId: 'chat', units: 1, billingType: 'prepaid' as const, months: 1 };
    control.nowMs = at('2026-04-13T09:58');
    const { quoteId } = await control.call(orderPreviewNew, tenant.manager, input);
    control.nowMs = at('2026-04-13T10:02');
    const { order } = await control.call(orderNew, tenant.manager, { ...input, quoteId });
    expect(order).toMatchObject({ priceVersion: 'dearer', amount: { amount: '2000.000000' } });
  });
});

test('a running term keeps its price; what is bought for it later has the new one', async () => {
  const groupId = await buy(control, tenant);
  await importBook(control, bookOf('dearer', '2026-04-20T00:00:00+08:00', { monthly: '9000', penalty: 0.5 }));
  control.nowMs = at('2026-04-28T10:30');
  await runJobs(control);
  expect(await control.call(groupShow, tenant.reader, { groupId })).toMatchObject({
    monthlyPrice: { amount: '1728.000000' },
    charge: { amount: '3456.000000' },
  });
  const { orders } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
  expect(orders).toMatchObject([{ monthlyPrice: { amount: '1728.000000' }, priceVersion: '2026-04' }]);
  expect(orders[0]!.arithmetic[0]).toContain('(1 − 0.3)');
  await control.call(orderRenew, tenant.manager, { groupId, months: 1 });
  expect((await lots()).map((lot) => [lot.monthly_price_micros, lot.price_version, lot.paid_micros])).toEqual([
    [1_728_000_000n, '2026-04', 3_456_000_000n],
    [9_000_000_000n, 'dearer', 18_000_000_000n],
  ]);
});

test.each(['on time', 'after ten days'])('auto-renewal pays the price of the day it was due, %s', async (when) => {
  const groupId = await buy(control, tenant);
  await control.call(groupAutoRenew, tenant.manager, { groupId, enabled: true, months: 1 });
  // Due on May 11 at noon.
  await importBook(control, bookOf('may', '2026-05-11T11:59:00+08:00', { monthly: '2000' }));
  await importBook(control, bookOf('later', '2026-05-11T12:00:01+08:00', { monthly: '3000' }));
  if (when === 'on time') {
    control.nowMs = at('2026-05-11T12:00');
    await runJobs(control);
  }
  control.nowMs = at('2026-05-21T12:00');
  await runJobs(control);
  expect((await lots()).map((lot) => [lot.price_version, lot.paid_micros])).toEqual([
    ['2026-04', 3_456_000_000n],
    ['may', 4_000_000_000n],
  ]);
});

describe('discounts for long terms', () => {
  beforeEach(async () => {
    await importBook(control, bookOf('long', '2026-04-13T09:01:00+08:00', LONG));
    control.nowMs = at('2026-04-13T09:02');
  });
  const preview = (months: number) =>
    control.call(endpointPreview, tenant.manager, { models: [{ ...prepaid, months }] });

  test.each([
    [1, null, '3456.000000', '2 units × 1 month × 1728.000000 CNY/month = 3456.000000 CNY'],
    [2, null, '6912.000000', '2 units × 2 months × 1728.000000 CNY/month = 6912.000000 CNY'],
    [3, '5', '9849.600000', '2 units × 3 months × 1728.000000 CNY/month × (1 − 5 %) = 9849.600000 CNY'],
    [12, '12.5', '36288.000000', '2 units × 12 months × 1728.000000 CNY/month × (1 − 12.5 %) = 36288.000000 CNY'],
  ])('%i months: %s %%', async (months, discountPercent, amount, arithmetic) => {
    const { orders, payNow, quoteId } = await preview(months);
    expect(orders).toMatchObject([{ discountPercent, priceVersion: 'long', arithmetic: [arithmetic] }]);
    expect(payNow.amount).toBe(amount);
    const models = [{ ...prepaid, months }];
    await control.call(endpointCreate, tenant.manager, { name: 'chat', models, quoteId });
    expect(await balanceOf(control, tenant)).toBe(
      `${200_000 - Math.ceil(Number(amount))}.${amount.split('.')[1] === '600000' ? '400000' : '000000'}`,
    );
    const [lot] = await lots();
    expect(lot).toMatchObject({ discount_percent: discountPercent ?? '0', arithmetic });
  });

  test('units that join have that of the months that are left', async () => {
    const groupId = await buy(control, tenant, { months: 12 });
    const grown = async (time: string) => {
      control.nowMs = at(time);
      const { orders } = await control.call(orderPreviewResize, tenant.manager, { groupId, units: 3 });
      return orders[0]!.discountPercent;
    };
    expect(await grown('2026-04-13T09:02')).toBe('12.5');
    expect(await grown('2026-05-13T09:00')).toBe('12.5');
    expect(await grown('2026-05-16T09:00')).toBe('5');
    expect(await grown('2027-02-10T09:00')).toBe('5');
    expect(await grown('2027-02-16T09:00')).toBeNull();
  });

  test('what is given back is reckoned by what was paid', async () => {
    const groupId = await buy(control, tenant, { months: 3 });
    const { quoteId, payBack, orders } = await control.call(orderPreviewUnsubscribe, tenant.manager, { groupId });
    // 92 days and 2:58 h, of which one second is used: 9,849.60 × 7959479 ÷ 7959480 × 0.7, rounded down.
    expect(payBack.amount).toBe('6894.719133');
    expect(orders[0]!.arithmetic[0]).toContain('9849.600000 CNY × ');
    await control.call(orderUnsubscribe, tenant.manager, { groupId, quoteId });
    expect(await balanceOf(control, tenant)).toBe('197045.119133');
  });

  test('a statement says version, price and discount of each group', async () => {
    await buy(control, tenant, { months: 3 });
    await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    await control.provisioned();
    await importBook(control, bookOf('dearer', '2026-04-13T11:30:00+08:00', { hourly: '7.20' }));
    control.nowMs = at('2026-04-14T00:00');
    await runJobs(control);
    const { groups } = await control.call(statementShow, tenant.reader, { month: '2026-04' });
    expect(groups.map(({ prices }) => prices)).toEqual([
      [
        { priceVersion: 'long', price: { amount: '3.600000', currency: 'CNY' }, per: 'hour', discountPercent: null },
        { priceVersion: 'dearer', price: { amount: '7.200000', currency: 'CNY' }, per: 'hour', discountPercent: null },
      ],
      [{ priceVersion: 'long', price: { amount: '1728.000000', currency: 'CNY' }, per: 'month', discountPercent: '5' }],
    ]);
    const march = await control.call(statementShow, tenant.reader, { month: '2026-03' });
    expect(march.groups).toEqual([]);
  });
});

test('prices, templates and the calculator show what is valid now', async () => {
  await importBook(control, bookOf('dearer', '2026-04-13T09:05:00+08:00', { hourly: '7.20', ...LONG }));
  const listed = () => control.call(priceList, tenant.reader, { templateId: 'alpha-local' });
  const traffic = { modelId: 'alpha', requestsPerMinute: 60, promptTokens: 200, outputTokens: 50 };
  const seen = async () => ({
    hourly: (await listed()).items[0]!.hourly.amount,
    template: (await control.call(templateShow, tenant.reader, { templateId: 'alpha-local' })).price!.hourly,
    calculator: (await control.call(calculatorRun, tenant.reader, traffic)).best!.cost!.hourly.amount,
  });
  expect(await listed()).toMatchObject({ version: '2026-04', nextChangeMs: at('2026-04-13T09:05') });
  const before = await seen();
  expect(before).toMatchObject({ hourly: '3.600000', template: '3.60' });
  const coming = await control.call(priceList, tenant.reader, { atMs: at('2026-04-13T10:00') });
  expect(coming).toMatchObject({ version: 'dearer', nextChangeMs: null, items: [{ discounts: LONG.discounts }] });
  control.nowMs = at('2026-04-13T09:05');
  const after = await seen();
  expect(after).toMatchObject({ hourly: '7.200000', template: '7.20' });
  expect(Number(after.calculator)).toBe(2 * Number(before.calculator));
});
