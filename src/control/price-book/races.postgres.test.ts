import { expect, test } from 'vitest';
import { testDatabase } from '../../store/fixture.ts';
import { checkLedger } from '../../store/ledger.ts';
import { openStore } from '../../store/store.ts';
import { TestControl } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { at } from '../prepaid/fixture.ts';
import { bookOf, importBook, takeIn } from './fixture.ts';

/** Price books under two control planes that share one PostgreSQL. */
async function twoControls(): Promise<[TestControl, TestControl]> {
  const database = await testDatabase();
  return [new TestControl(await openStore(database)), new TestControl(await openStore(database))];
}

test('of two starts one takes the catalogue’s prices in, and both go on', async () => {
  const [a, b] = await twoControls();
  const said = await Promise.all([takeIn(a), takeIn(b)]);
  expect(said.filter((one) => one !== null)).toHaveLength(1);
  expect(await a.store.db.selectFrom('price_books').select('version').execute()).toEqual([{ version: '2026-04' }]);
  await Promise.all([a.store.close(), b.store.close()]);
});

test('of two versions for one instant one is stored', async () => {
  const [a, b] = await twoControls();
  await takeIn(a);
  for (let round = 1; round <= 4; round++) {
    const from = `2026-05-0${round}T00:00:00+08:00`;
    const ends = await Promise.allSettled([
      importBook(a, bookOf(`a-${round}`, from)),
      importBook(b, bookOf(`b-${round}`, from)),
    ]);
    expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    const refused = ends.find((end) => end.status === 'rejected');
    expect(refused).toMatchObject({ reason: { code: expect.stringMatching(/^(invalid_request|conflict)$/) } });
  }
  expect(await a.store.db.selectFrom('price_books').select('version').execute()).toHaveLength(5);
  await Promise.all([a.store.close(), b.store.close()]);
});

test('jobs of two processes at once start a version once for each group, before its hour is billed', async () => {
  const [a, b] = await twoControls();
  await takeIn(a);
  const tenant = await a.tenant();
  for (let i = 0; i < 5; i++) await a.endpoint(tenant.manager, 1, `chat-${i}`);
  a.nowMs = at('2026-04-13T10:00');
  await a.provisioned();
  await importBook(a, bookOf('dearer', '2026-04-13T10:20:00+08:00', { hourly: '7.20' }));
  a.nowMs = at('2026-04-13T14:30');
  b.nowMs = a.nowMs;
  await Promise.all([runJobs(a), runJobs(b)]);
  const segments = await a.store.db.selectFrom('group_segments').select(['group_id', 'from_ms']).execute();
  expect(segments).toHaveLength(10);
  expect(new Set(segments.map(({ from_ms }) => from_ms))).toContain(at('2026-04-13T11:00'));
  const bills = await a.store.db.selectFrom('bills').select('amount_micros').orderBy('hour_from_ms').execute();
  expect(bills.map((bill) => bill.amount_micros)).toEqual([18_000_000n, 36_000_000n, 36_000_000n]);
  expect(await checkLedger(a.store.db)).toMatchObject({ balanced: true, problems: [] });
  await Promise.all([a.store.close(), b.store.close()]);
});
