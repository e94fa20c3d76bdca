import { beforeEach, describe, expect, test } from 'vitest';
import { checkLedger } from '../../store/ledger.ts';
import { billList } from '../billing/list.ts';
import { billShow } from '../billing/show.ts';
import { endpointCreate } from '../endpoint/create.ts';
import { OPERATOR, type TestControl, type TestTenant } from '../fixture.ts';
import { groupShow } from '../group/show.ts';
import { runJobs, runJobsDying } from '../jobs/fixture.ts';
import { orderPreviewResize } from '../order/preview-resize.ts';
import { orderResize } from '../order/resize.ts';
import { orderUnsubscribe } from '../order/unsubscribe.ts';
import { at, balanceOf } from '../prepaid/fixture.ts';
import { tenantCreate } from '../tenant/create.ts';
import { walletTopUp } from '../wallet/top-up.ts';
import { bookOf, importBook, pricedWorld } from './fixture.ts';

let control: TestControl;
let tenant: TestTenant;
beforeEach(async () => {
  ({ control, tenant } = await pricedWorld());
});

/** One unit that runs since 10:00 at 3.60 an hour; from 10:20 on the book says 7.20. */
async function running(): Promise<string> {
  control.nowMs = at('2026-04-13T10:00');
  const { groups } = await control.endpoint(tenant.manager);
  await control.provisioned();
  await importBook(control, bookOf('dearer', '2026-04-13T10:20:00+08:00', { hourly: '7.20' }));
  return groups[0]!.groupId;
}

const segments = (groupId: string) =>
  control.store.db
    .selectFrom('group_segments')
    .select(['from_ms', 'units', 'hourly_price_micros', 'price_version'])
    .where('group_id', '=', groupId)
    .orderBy('from_ms')
    .execute();

async function lines() {
  const { items } = await control.call(billList, OPERATOR, { limit: 200 });
  const shown = await Promise.all(items.map(({ billId }) => control.call(billShow, OPERATOR, { billId })));
  return shown
    .toSorted((a, b) => a.hourFromMs - b.hourFromMs)
    .flatMap((bill) =>
      bill.lines.map(({ amount, arithmetic, priceVersions }) => ({ amount: amount.amount, arithmetic, priceVersions })),
    );
}

describe('a price that changes at 10:20', () => {
  test('is paid by units that run from 11:00 on; the bill of each hour says by which version', async () => {
    const groupId = await running();
    for (const time of ['10:20', '10:59', '11:00', '13:00']) {
      control.nowMs = at(`2026-04-13T${time}`);
      await runJobs(control);
    }
    expect(await segments(groupId)).toEqual([
      { from_ms: at('2026-04-13T10:00'), units: 1, hourly_price_micros: 3_600_000n, price_version: '2026-04' },
      { from_ms: at('2026-04-13T11:00'), units: 1, hourly_price_micros: 7_200_000n, price_version: 'dearer' },
    ]);
    expect(await lines()).toEqual([
      {
        amount: '3.600000',
        priceVersions: ['2026-04'],
        arithmetic: '3,600 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 3.600000 CNY',
      },
      {
        amount: '7.200000',
        priceVersions: ['dearer'],
        arithmetic: '3,600 s × 1 unit × 7.200000 CNY/h ÷ 3600 = 7.200000 CNY',
      },
    ]);
    expect(await balanceOf(control, tenant)).toBe('19989.200000');
    expect(await checkLedger(control.store.db)).toMatchObject({ balanced: true, problems: [] });
  });

  test('has the same outcome when nothing ran for two days, and when the process dies again and again', async () => {
    const groupId = await running();
    control.nowMs = at('2026-04-15T10:30');
    // At the 1st, 3rd, 6th, 10th … id that is made.
    let [ids, next, step] = [0, 1, 1];
    const dies = () => {
      if (++ids < next) return false;
      next += ++step;
      return true;
    };
    expect(await runJobsDying(control, dies)).toBeGreaterThan(5);
    expect((await segments(groupId)).map(({ from_ms }) => from_ms)).toEqual([
      at('2026-04-13T10:00'),
      at('2026-04-13T11:00'),
    ]);
    // 1 h at 3.60, then 46 h (until 09:00, whose bill was due at 10:00) at 7.20.
    expect(await balanceOf(control, tenant)).toBe('19665.200000');
    expect((await lines()).map(({ amount }) => amount)).toEqual(['3.600000', ...Array(46).fill('7.200000')]);
    const { charge } = await control.call(groupShow, OPERATOR, { groupId });
    expect(charge.amount).toBe('345.600000');
  });

  test('is paid at once by what is ordered after it', async () => {
    await running();
    control.nowMs = at('2026-04-13T10:25');
    await runJobs(control);
    const { groups } = await control.endpoint(tenant.manager, 1, 'second');
    expect(await segments(groups[0]!.groupId)).toMatchObject([{ price_version: 'dearer' }]);
    control.nowMs = at('2026-04-13T11:00');
    await runJobs(control);
    expect(await segments(groups[0]!.groupId)).toHaveLength(1);
  });

  test('units that come up only later pay it from their first second; a failed group never does', async () => {
    control.nowMs = at('2026-04-13T10:00');
    const { groups } = await control.endpoint(tenant.manager);
    const failing = await control.endpoint(tenant.manager, 1, 'failing');
    await importBook(control, bookOf('dearer', '2026-04-13T10:20:00+08:00', { hourly: '7.20' }));
    control.nowMs = at('2026-04-13T10:55');
    const provisioner = control.provisioner();
    await provisioner.reconcile();
    const failingId = failing.groups[0]!.groupId;
    for (const { replicaId } of control.fleet.list()) {
      if (replicaId.includes(failingId.slice(3))) control.fleet.become(replicaId, 'failed', 'no luck');
    }
    await provisioner.reconcile();
    control.nowMs = at('2026-04-13T11:05');
    await runJobs(control);
    control.fleet.allReady();
    await provisioner.reconcile();
    control.nowMs = at('2026-04-13T11:15');
    const { groupId } = groups[0]!;
    expect(await control.call(groupShow, OPERATOR, { groupId })).toMatchObject({
      billedSeconds: 600,
      charge: { amount: '1.200000' },
    });
    expect(await segments(failingId)).toHaveLength(1);
  });

  test.each(['before', 'after'])('a resize within its hour keeps the price, %s a restart', async (when) => {
    const groupId = await running();
    control.nowMs = at('2026-04-13T10:40');
    if (when === 'before') await runJobs(control);
    expect((await control.call(orderPreviewResize, tenant.manager, { groupId, units: 3 })).orders).toMatchObject([
      { hourlyPrice: { amount: '3.600000' }, priceVersion: '2026-04' },
    ]);
    await control.call(orderResize, tenant.manager, { groupId, units: 3 });
    await control.provisioned();
    // The jobs have not come to 11:00 yet: the resize knows the price all the same.
    control.nowMs = at('2026-04-13T11:30');
    await control.call(orderResize, tenant.manager, { groupId, units: 2 });
    control.nowMs = at('2026-04-13T14:00');
    await runJobs(control);
    expect(await segments(groupId)).toEqual([
      { from_ms: at('2026-04-13T10:00'), units: 1, hourly_price_micros: 3_600_000n, price_version: '2026-04' },
      { from_ms: at('2026-04-13T10:40'), units: 3, hourly_price_micros: 3_600_000n, price_version: '2026-04' },
      { from_ms: at('2026-04-13T11:00'), units: 3, hourly_price_micros: 7_200_000n, price_version: 'dearer' },
      { from_ms: at('2026-04-13T11:30'), units: 2, hourly_price_micros: 7_200_000n, price_version: 'dearer' },
    ]);
    expect((await lines()).map(({ amount }) => amount)).toEqual(['6.000000', '18.000000', '14.400000'].slice(0, 3));
  });

  test('is paid up to the end by a group that ended before the jobs came to it', async () => {
    const groupId = await running();
    control.nowMs = at('2026-04-13T11:30');
    await control.call(orderUnsubscribe, tenant.manager, { groupId });
    control.nowMs = at('2026-04-14T00:00');
    await runJobs(control);
    expect(await balanceOf(control, tenant)).toBe('19992.800000');
  });
});

test('two changes within an hour: the last one is paid from the next hour on', async () => {
  const groupId = await running();
  await importBook(control, bookOf('cheaper', '2026-04-13T10:40:00+08:00', { hourly: '1.80' }));
  control.nowMs = at('2026-04-13T12:00');
  await runJobs(control);
  expect((await segments(groupId)).map(({ price_version }) => price_version)).toEqual(['2026-04', 'cheaper']);
});

test('a template that is not sold any more keeps its price, and pays the next one that it is given', async () => {
  const groupId = await running();
  const without = bookOf('without', '2026-04-13T12:30:00+08:00', { templateId: 'beta-local' });
  await importBook(control, without);
  await importBook(control, bookOf('again', '2026-04-13T14:00:00+08:00', { hourly: '9.00' }));
  control.nowMs = at('2026-04-13T13:30');
  await expect(control.call(orderResize, tenant.manager, { groupId, units: 2 })).rejects.toMatchObject({
    code: 'unsupported_feature',
  });
  control.nowMs = at('2026-04-13T15:00');
  await runJobs(control);
  expect((await segments(groupId)).map((one) => [one.from_ms, one.price_version])).toEqual([
    [at('2026-04-13T10:00'), '2026-04'],
    [at('2026-04-13T11:00'), 'dearer'],
    [at('2026-04-13T14:00'), 'again'],
  ]);
});

test('a version that changes nothing for a template writes no segment', async () => {
  control.nowMs = at('2026-04-13T10:00');
  const { groups } = await control.endpoint(tenant.manager);
  await control.provisioned();
  await importBook(control, bookOf('same', '2026-04-13T10:20:00+08:00'));
  control.nowMs = at('2026-04-13T12:00');
  await runJobs(control);
  expect(await segments(groups[0]!.groupId)).toHaveLength(1);
});

test('each zone has its own next hour', async () => {
  control.nowMs = at('2026-04-13T10:00');
  const ids: string[] = [];
  for (const zone of ['Asia/Shanghai', 'Asia/Kolkata']) {
    const { tenantId } = await control.call(tenantCreate, OPERATOR, { name: zone, zone });
    await control.call(walletTopUp, OPERATOR, { tenantId, amount: '100' });
    const models = [{ modelId: 'alpha', units: 1 }];
    const made = await control.call(endpointCreate, OPERATOR, { tenantId, name: 'chat', models });
    ids.push(made.groups[0]!.groupId);
  }
  await control.provisioned();
  await importBook(control, bookOf('dearer', '2026-04-13T10:20:00+08:00', { hourly: '7.20' }));
  control.nowMs = at('2026-04-13T13:00');
  await runJobs(control);
  const starts = await Promise.all(ids.map(async (id) => (await segments(id)).at(-1)!.from_ms));
  expect(starts).toEqual([at('2026-04-13T11:00'), at('2026-04-13T10:30')]);
});

test('a clock that was set back does not reprice what is billed', async () => {
  control.nowMs = at('2026-04-13T10:00');
  const { groups } = await control.endpoint(tenant.manager);
  await control.provisioned();
  control.nowMs = at('2026-04-13T15:30');
  await runJobs(control);
  control.nowMs = at('2026-04-13T11:30');
  await importBook(control, bookOf('dearer', '2026-04-13T12:00:00+08:00', { hourly: '7.20' }));
  control.nowMs = at('2026-04-13T18:00');
  await runJobs(control);
  expect((await segments(groups[0]!.groupId)).map(({ from_ms }) => from_ms)).toEqual([
    at('2026-04-13T10:00'),
    at('2026-04-13T14:00'),
  ]);
  expect((await lines()).map(({ amount }) => amount)).toEqual([
    ...Array(4).fill('3.600000'),
    ...Array(3).fill('7.200000'),
  ]);
});
