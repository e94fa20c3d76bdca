import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Segment } from '../../core/commerce/billing.ts';
import { testStore } from '../../store/fixture.ts';
import { balanceMicros, checkLedger } from '../../store/ledger.ts';
import type { Store } from '../../store/store.ts';
import { newId } from '../call.ts';
import { insertGroup, insertSegment, insertTenant } from './fixture.ts';
import { billingMoment } from './moment.ts';
import { settle } from './settle.ts';

const HOUR = 3_600_000;
const at = (time: string, day = '2025-04-13') => Date.parse(`${day}T${time}+08:00`);
const segment = (fromMs: number, units = 1, hourlyPriceMicros = 3_600_000n): Segment => ({
  fromMs,
  units,
  hourlyPriceMicros,
});

let store: Store;
let nowMs: number;
const run = (billsMax = 1000) => settle({ db: store.db, now: () => nowMs, newId, billsMax });
const bills = () => store.db.selectFrom('bills').selectAll().orderBy('hour_from_ms').execute();
const lines = () => store.db.selectFrom('bill_lines').selectAll().orderBy('id').execute();

beforeEach(async () => {
  store = await testStore();
  await insertTenant(store.db, 't-1');
});
afterEach(async () => {
  expect(await checkLedger(store.db)).toMatchObject({ balanced: true, problems: [] });
  await store.close();
});

async function workedExample(): Promise<void> {
  const fromMs = at('16:00:00');
  await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs, endMs: at('18:20:31'), segments: [segment(fromMs)] });
}

describe('settle', () => {
  test('16:00:00 → 18:20:31 is three bills that sum to 8,431 s and 8.431 CNY', async () => {
    await workedExample();
    nowMs = at('23:00:00');
    expect(await run()).toEqual({ bills: 3, more: false, failures: [] });
    expect(
      (await bills()).map((bill) => [bill.hour_from_ms, bill.hour_to_ms, bill.amount_micros, bill.issued_at_ms]),
    ).toEqual([
      [at('16:00:00'), at('17:00:00'), 3_600_000n, at('18:00:00')],
      [at('17:00:00'), at('18:00:00'), 3_600_000n, at('19:00:00')],
      [at('18:00:00'), at('19:00:00'), 1_231_000n, at('20:00:00')],
    ]);
    expect((await lines()).at(-1)).toMatchObject({
      unit_seconds: 1231,
      unit_seconds_total: 8431,
      amount_total_micros: 8_431_000n,
      arithmetic: '1,231 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 1.231000 CNY',
    });
    expect(await balanceMicros(store.db, 't-1')).toBe(-8_431_000n);
    const audits = await store.db.selectFrom('audit').selectAll().where('actor', '=', 'system:settle').execute();
    expect(audits.map((row) => row.subject).toSorted()).toEqual((await bills()).map((bill) => bill.id).toSorted());
  });

  test('a bill comes when its issue time has come, not before', async () => {
    await workedExample();
    nowMs = at('17:59:59');
    expect(await run()).toMatchObject({ bills: 0 });
    nowMs = at('18:00:00');
    expect(await run()).toMatchObject({ bills: 1 });
    nowMs = at('19:00:00');
    expect(await run()).toMatchObject({ bills: 1 });
  });

  test('twice, or several at once, is the same as once', async () => {
    await workedExample();
    nowMs = at('23:00:00');
    const runs = await Promise.all([run(), run(), run()]);
    expect(runs.reduce((sum, { bills }) => sum + bills, 0)).toBe(3);
    expect(await run()).toMatchObject({ bills: 0 });
    expect(await balanceMicros(store.db, 't-1')).toBe(-8_431_000n);
  });

  test('after days of downtime the bills are those of a settler that never stopped', async () => {
    const fromMs = at('16:00:00.700');
    const prices = [segment(fromMs, 3, 1_234_567n), segment(at('22:11:12.345'), 7, 1_234_567n)];
    await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs, endMs: null, segments: prices });
    await insertTenant(store.db, 't-2');
    await insertGroup(store.db, 't-2', { id: 'ig-2', fromMs, endMs: null, segments: prices });
    const end = at('16:00:00', '2025-04-17');
    for (nowMs = fromMs; nowMs < end; nowMs += HOUR / 2) await run(1); // t-1 is first, and always up to date
    const steady = (await bills()).filter((bill) => bill.tenant_id === 't-1');
    nowMs = end;
    while ((await run(7)).more) expect(await checkLedger(store.db)).toMatchObject({ balanced: true });
    const all = await bills();
    const facts = (tenantId: string) =>
      all
        .filter((bill) => bill.tenant_id === tenantId)
        .map((bill) => [bill.hour_from_ms, bill.amount_micros, bill.issued_at_ms]);
    expect(steady.length).toBeGreaterThan(90);
    expect(facts('t-2')).toEqual(facts('t-1'));
    expect(facts('t-1').length).toBe(95);
  });

  test('a resize within the hour bills each part', async () => {
    const fromMs = at('16:00:00');
    const segments = [segment(fromMs, 1), segment(at('16:20:00'), 3), segment(at('16:40:00'), 2)];
    await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs, endMs: null, segments });
    nowMs = at('18:00:00');
    await run();
    expect((await bills()).map((bill) => bill.amount_micros)).toEqual([1200_000n + 3600_000n + 2400_000n]);
  });

  test('a group that starts and ends in one second costs one second', async () => {
    const cases = [at('16:59:59.500'), at('17:00:00.000'), at('17:30:00.000')];
    for (const [i, fromMs] of cases.entries()) {
      const endMs = fromMs + [800, 0, 1][i]!;
      await insertGroup(store.db, 't-1', { id: `ig-${i}`, fromMs, endMs, segments: [segment(fromMs)] });
    }
    nowMs = at('23:00:00');
    await run();
    expect((await lines()).map((line) => [line.group_id, line.unit_seconds, line.amount_micros])).toEqual([
      ['ig-0', 1, 1000n],
      ['ig-1', 1, 1000n],
      ['ig-2', 1, 1000n],
    ]);
    expect((await bills()).map((bill) => bill.hour_from_ms)).toEqual([at('16:00:00'), at('17:00:00')]);
  });

  test('failed and provisioning groups cost nothing; idle days are no bills and no work', async () => {
    await insertGroup(store.db, 't-1', { id: 'ig-0', fromMs: null, endMs: null, segments: [segment(0)] });
    for (const day of ['2024-01-01', '2025-04-13']) {
      const fromMs = at('16:10:00', day);
      const group = { id: `ig-${day}`, fromMs, endMs: fromMs + 1000, segments: [segment(fromMs)] };
      await insertGroup(store.db, 't-1', group);
    }
    nowMs = at('23:00:00');
    expect(await run()).toMatchObject({ bills: 2 });
  });

  test('the hours of a zone at :30 are its own', async () => {
    await insertTenant(store.db, 't-in', 'Asia/Kolkata');
    const fromMs = Date.parse('2025-04-13T16:10:00+05:30');
    await insertGroup(store.db, 't-in', { id: 'ig-1', fromMs, endMs: fromMs + 1000, segments: [segment(fromMs)] });
    nowMs = fromMs + 10 * HOUR;
    await run();
    expect((await bills())[0]?.hour_from_ms).toBe(Date.parse('2025-04-13T16:00:00+05:30'));
  });

  test('a clock set back issues nothing twice, and changes dated by it do not reach into billed hours', async () => {
    const fromMs = at('16:00:00');
    await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs, endMs: null, segments: [segment(fromMs, 2)] });
    nowMs = at('19:00:00'); // 16:00–18:00 billed
    await run();
    nowMs = at('16:30:00');
    expect(await run()).toMatchObject({ bills: 0 });
    await store.db.transaction().execute(async (trx) => {
      const group = { id: 'ig-1', tenant_id: 't-1', billed_from_ms: fromMs };
      const momentMs = await billingMoment(trx, group, nowMs);
      expect(momentMs).toBe(at('18:00:00'));
      await insertSegment(trx, 'ig-1', segment(momentMs, 1));
      expect(await billingMoment(trx, group, nowMs)).toBe(momentMs + 1);
    });
    nowMs = at('20:00:00');
    await run();
    expect((await bills()).map((bill) => bill.amount_micros)).toEqual([7_200_000n, 7_200_000n, 3_600_000n]);
  });

  test('a past that was changed behind its back is never charged twice nor refunded', async () => {
    const fromMs = at('16:00:00');
    await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs, endMs: null, segments: [segment(fromMs, 4)] });
    nowMs = at('18:00:00');
    await run();
    await insertSegment(store.db, 'ig-1', segment(at('16:30:00'), 1)); // 9,000 s of the billed 14,400 s
    nowMs = at('20:00:00');
    await run();
    expect((await bills()).map((bill) => bill.amount_micros)).toEqual([14_400_000n, 1_800_000n]);
  });

  test('one tenant whose facts are broken holds nobody else up', async () => {
    await insertTenant(store.db, 't-0', 'Mars/Olympus');
    const fromMs = at('16:00:00');
    await insertGroup(store.db, 't-0', { id: 'ig-0', fromMs, endMs: null, segments: [segment(fromMs)] });
    await workedExample();
    nowMs = at('23:00:00');
    expect(await run()).toMatchObject({ bills: 3, failures: [{ tenantId: 't-0' }] });
  });

  test('more groups than one statement can take are on one bill', async () => {
    const fromMs = at('16:00:00');
    for (let i = 0; i < 1100; i++) {
      await insertGroup(store.db, 't-1', { id: `ig-${i}`, fromMs, endMs: fromMs + 5000, segments: [segment(fromMs)] });
    }
    nowMs = at('18:00:00');
    await run();
    expect((await bills()).map((bill) => bill.amount_micros)).toEqual([5_500_000n]);
    expect(await lines()).toHaveLength(1100);
  });
});
