import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { endpointShow } from '../endpoint/show.ts';
import { refusal, START_MS, type TestControl, type TestTenant, testControl } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { orderNew } from '../order/new.ts';
import { orderPreviewRenew } from '../order/preview-renew.ts';
import { orderRenew } from '../order/renew.ts';
import { walletShow } from '../wallet/show.ts';
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

describe('bought', () => {
  test('13 April 09:00 for a month: paid at once, expires 14 May 12:00, reclaimed 15 May 12:00', async () => {
    const groupId = await bought();
    expect(await show(groupId)).toMatchObject({
      state: 'active',
      billingType: 'prepaid',
      hourlyPrice: null,
      monthlyPrice: { amount: '1728.000000' },
      charge: { amount: '3456.000000' },
      term: {
        months: 1,
        expiryDay: '2026-05-13',
        expiresAtMs: at('2026-05-14T12:00'),
        reclaimAtMs: at('2026-05-15T12:00'),
        autoRenewMonths: null,
        autoRenewLockedFromMs: at('2026-05-13T12:00'),
      },
    });
    expect(await balance()).toBe('16544.000000');
    expect(await accounts()).toMatchObject({ unearned: 3_456_000_000n, cash: -20_000_000_000n });
  });

  test('prepaid and postpaid units stack on one endpoint; only the postpaid ones are billed by the hour', async () => {
    await bought();
    const { order } = await control.call(orderNew, tenant.manager, { endpointId: 'chat', units: 1 });
    await control.provisioned();
    expect(order).toMatchObject({ billingType: 'postpaid', amount: { amount: '0.000000' } });
    expect(await control.call(endpointShow, tenant.manager, { endpointId: 'chat' })).toMatchObject({
      state: 'ready',
      models: [{ units: 3, unitsReady: 3 }],
    });
    control.nowMs += 10_000;
    expect(await control.call(walletShow, tenant.manager, {})).toMatchObject({ unbilled: { amount: '0.010000' } });
  });

  test('what cannot be paid leaves nothing behind, and says what is missing', async () => {
    const poor = await control.tenant('3000');
    const models = [{ ...prepaid, units: 2 }];
    const answer = await refusal(control.call(endpointCreate, poor.manager, { name: 'chat', models }));
    expect(answer).toMatchObject({
      code: 'payment_required',
      details: { needed: '3456.000000', missing: '456.000000' },
    });
    for (const table of ['endpoints', 'instance_groups', 'prepaid_terms', 'prepaid_lots'] as const) {
      expect(await control.store.db.selectFrom(table).selectAll().execute(), table).toEqual([]);
    }
  });

  test('one hour of the postpaid units has to stay in the wallet', async () => {
    const poor = await control.tenant('1729');
    const models = [
      { ...prepaid, units: 1, trafficPercent: 50 },
      { modelId: 'beta', units: 1, trafficPercent: 50 },
    ];
    const answer = await refusal(control.call(endpointCreate, poor.manager, { name: 'chat', models }));
    expect(answer).toMatchObject({ code: 'payment_required', details: { needed: '1.800000', available: '1.000000' } });
  });

  test('units that do not come are paid back in full', async () => {
    const made = await control.call(endpointCreate, tenant.manager, { name: 'chat', models: [prepaid] });
    const provisioner = control.provisioner();
    await provisioner.reconcile();
    control.nowMs += 60_000;
    for (const id of Object.keys(control.fleet.states())) control.fleet.become(id, 'failed', 'no memory');
    await provisioner.reconcile();
    expect(await show(made.groups[0]!.groupId)).toMatchObject({ state: 'failed', charge: { amount: '0.000000' } });
    expect(await balance()).toBe('20000.000000');
    expect(await accounts()).toMatchObject({ unearned: 0n });
  });

  test.each([
    ['no months', { months: undefined }],
    ['half a month', { months: 0.5 }],
    ['minus a month', { months: -1 }],
    ['a hundred years', { months: 1200 }],
    ['more than a number holds', { months: 2 ** 53 }],
    ['minus a unit', { units: -1 }],
    ['half a unit', { units: 1.5 }],
    ['months of postpaid', { billingType: 'postpaid' }],
    ['renewal of postpaid', { billingType: 'postpaid', months: undefined, autoRenewMonths: 1 }],
  ])('%s is refused and nothing is written', async (_name, wanted) => {
    const models = [{ ...prepaid, ...wanted }] as never;
    const answer = await refusal(control.call(endpointCreate, tenant.manager, { name: 'chat', models }));
    expect(answer.code).toBe('invalid_request');
    expect(await control.store.db.selectFrom('endpoints').selectAll().execute()).toEqual([]);
  });

  test('the same Idempotency-Key buys once', async () => {
    const input = { name: 'chat', models: [prepaid] };
    const first = await control.call(endpointCreate, tenant.manager, input, 'k-1');
    expect(await control.call(endpointCreate, tenant.manager, input, 'k-1')).toEqual(first);
    expect(await balance()).toBe('16544.000000');
  });
});

describe('earned day by day', () => {
  test('at midnight the seconds of the day that passed, and by the end all of it', async () => {
    await bought();
    control.nowMs = at('2026-04-14T00:00');
    await recognise();
    // 15 h of the first day; the term is 31 d 3 h.
    const termS = (31 * 24 + 3) * 3600;
    expect((await accounts())['revenue']).toBe((3_456_000_000n * 54_000n) / BigInt(termS));
    await recognise();
    control.nowMs = at('2026-05-15T00:00');
    await recognise();
    expect(await accounts()).toMatchObject({ revenue: 3_456_000_000n, unearned: 0n });
    const days = await control.store.db.selectFrom('recognitions').selectAll().execute();
    expect(days).toHaveLength(32);
    control.nowMs += 400 * DAY_MS;
    await recognise();
    expect(await control.store.db.selectFrom('recognitions').selectAll().execute()).toHaveLength(32);
  });

  test('late or on time, the same days with the same sums', async () => {
    await bought({ units: 1, months: 2 });
    const start = control.nowMs;
    for (; control.nowMs < start + 20 * DAY_MS; control.nowMs += 5 * 3_600_000) await recognise();
    const steady = await control.store.db.selectFrom('recognitions').select(['to_ms', 'amount_micros']).execute();
    const late = await testControl();
    const made = await late.tenant('20000');
    const models = [{ ...prepaid, units: 1, months: 2 }];
    await late.call(endpointCreate, made.manager, { name: 'chat', models });
    [control, tenant] = [late, made];
    control.nowMs = start + 20 * DAY_MS;
    await recognise();
    expect(await late.store.db.selectFrom('recognitions').select(['to_ms', 'amount_micros']).execute()).toEqual(steady);
  });
});

describe('renewed', () => {
  test('any time from purchase: the new term starts where the old one ends, anchored to the first day', async () => {
    const groupId = await bought();
    const preview = await control.call(orderPreviewRenew, tenant.reader, { groupId, months: 2 });
    expect(preview).toMatchObject({
      payNow: { amount: '6912.000000' },
      orders: [{ kind: 'renew', term: { expiryDay: '2026-07-13', expiresAtMs: at('2026-07-14T12:00') } }],
    });
    const { quoteId } = preview;
    const { group, order } = await control.call(orderRenew, tenant.manager, { groupId, months: 2, quoteId });
    expect(order).toMatchObject({ kind: 'renew', state: 'active', months: 2, amount: { amount: '6912.000000' } });
    expect(group.term).toMatchObject({ months: 3, expiryDay: '2026-07-13' });
    const terms = await control.store.db.selectFrom('prepaid_terms').selectAll().orderBy('from_ms').execute();
    expect(terms.map((term) => [term.from_ms, term.to_ms])).toEqual([
      [START_MS, at('2026-05-14T12:00')],
      [at('2026-05-14T12:00'), at('2026-07-14T12:00')],
    ]);
  });

  test('in the grace day too, with no free day; after the reclaim it is refused and says what to do', async () => {
    const groupId = await bought();
    control.nowMs = at('2026-05-15T11:59:59');
    const early = await control.call(orderPreviewRenew, tenant.manager, { groupId });
    control.nowMs += 1_000;
    const late = await refusal(control.call(orderRenew, tenant.manager, { groupId, quoteId: early.quoteId }));
    expect(late).toMatchObject({ code: 'invalid_transition' });
    expect(late.message).toContain('Order a new group');
    control.nowMs -= 1_000;
    const { group } = await control.call(orderRenew, tenant.manager, { groupId });
    expect(group.term).toMatchObject({ expiryDay: '2026-06-13' });
  });

  test('postpaid groups are not renewed', async () => {
    const { groups } = await control.endpoint(tenant.manager);
    await control.provisioned();
    const { groupId } = groups[0]!;
    expect((await refusal(control.call(orderRenew, tenant.manager, { groupId }))).code).toBe('conflict');
  });

  test('a price change touches the months that come, not those that run', async () => {
    const groupId = await bought();
    const { catalog } = control.deps;
    const prices = catalog.priceBook.prices.map((row) => ({ ...row, monthly: '2000.00', penalty: 0.5 }));
    control.deps = {
      ...control.deps,
      catalog: { ...catalog, priceBook: { ...catalog.priceBook, prices, version: 'v2' } },
    };
    await control.call(orderRenew, tenant.manager, { groupId });
    const lots = await control.store.db.selectFrom('prepaid_lots').selectAll().orderBy('from_ms').execute();
    expect(lots.map((lot) => [lot.paid_micros, lot.penalty, lot.price_version])).toEqual([
      [3_456_000_000n, 0.3, '2026-04'],
      [4_000_000_000n, 0.5, 'v2'],
    ]);
  });

  test('a group is paid ahead for five years at most', async () => {
    const groupId = await bought();
    await control.store.db.updateTable('instance_groups').set({ months: 59 }).execute();
    const answer = await refusal(control.call(orderRenew, tenant.manager, { groupId, months: 12 }));
    expect(answer).toMatchObject({ code: 'invalid_request', details: { faults: [{ field: 'months' }] } });
  });
});
