import { beforeEach, describe, expect, test } from 'vitest';
import { OPERATOR, type TestControl, testControl } from '../fixture.ts';
import { runJobs } from '../jobs/fixture.ts';
import { at } from '../prepaid/fixture.ts';
import { bookOf, importBook, takeIn } from './fixture.ts';
import { priceBookList } from './list.ts';
import { priceList } from './prices.ts';

let control: TestControl;
beforeEach(async () => {
  control = await testControl();
});

/** The next start of this installation, with this price book in its catalogue. */
async function start(book = control.deps.catalog.priceBook): Promise<string | null> {
  control.deps = { ...control.deps, catalog: { ...control.deps.catalog, priceBook: book } };
  return takeIn(control);
}
const versions = async () =>
  (await control.call(priceBookList, OPERATOR, {})).items.map(({ version, validFromMs }) => [version, validFromMs]);
const hourly = async () => {
  const { items } = await control.call(priceList, OPERATOR, { templateId: 'alpha-local' });
  return items[0]!.hourly.amount;
};

describe('the first start', () => {
  test('takes the catalogue’s prices in, once', async () => {
    expect(await start()).toContain('is the first');
    expect(await start()).toBeNull();
    expect(await versions()).toEqual([['2026-04', at('2026-04-01T00:00')]]);
  });

  test('sells at once, also by a book of tomorrow', async () => {
    await start(bookOf('tomorrow', '2026-04-14T00:00:00+08:00'));
    expect(await versions()).toEqual([['tomorrow', control.nowMs]]);
    await control.endpoint((await control.tenant()).manager);
  });
});

describe('a later start', () => {
  beforeEach(async () => {
    await start();
    control.nowMs = at('2026-04-13T10:20');
  });

  test('takes a newer version in from its own instant on', async () => {
    await start(bookOf('may', '2026-05-01T00:00:00+08:00', { hourly: '5' }));
    expect((await versions())[0]).toEqual(['may', at('2026-05-01T00:00')]);
    expect(await hourly()).toBe('3.600000');
    control.nowMs = at('2026-05-01T00:00');
    expect(await hourly()).toBe('5.000000');
  });

  test.each([
    ['10:20', '11:00'],
    ['10:59:30', '12:00'],
  ])('at %s takes one whose instant has passed in from %s on', async (now, from) => {
    control.nowMs = at(`2026-04-13T${now}`);
    await start(bookOf('april', '2026-04-10T00:00:00+08:00', { hourly: '5' }));
    expect((await versions())[0]).toEqual(['april', at(`2026-04-13T${from}`)]);
    expect(await hourly()).toBe('3.600000');
    control.nowMs = at(`2026-04-13T${from}`);
    expect(await hourly()).toBe('5.000000');
  });

  test.each([
    ['changed under the same id', bookOf('2026-04', '2026-04-01T00:00:00+08:00', { hourly: '5' }), 'never changes'],
    ['older', bookOf('march', '2026-03-01T00:00:00+08:00'), 'it is not newer'],
    ['of another currency', { ...bookOf('may', '2026-05-01T00:00:00+08:00'), currency: 'EUR' }, 'CNY'],
  ])('leaves one that is %s, and says so', async (_name, book, said) => {
    expect(await start(book)).toContain(said);
    expect(await versions()).toHaveLength(1);
  });

  test('leaves any, once prices are imported: an upgrade changes nobody’s prices', async () => {
    await importBook(control, bookOf('own', '2026-04-14T00:00:00+08:00'));
    expect(await start(bookOf('shipped', '2027-01-01T00:00:00+08:00'))).toContain('prices are imported here');
    expect((await versions()).map(([version]) => version)).toEqual(['own', '2026-04']);
  });

  test('a version that it takes in starts for running units too', async () => {
    const { manager } = await control.tenant();
    const { groups } = await control.endpoint(manager);
    await control.provisioned();
    await start(bookOf('april', '2026-04-10T00:00:00+08:00', { hourly: '5' }));
    control.nowMs = at('2026-04-13T12:00');
    await runJobs(control);
    const rows = await control.store.db.selectFrom('group_segments').selectAll().orderBy('from_ms').execute();
    expect(rows.map((row) => [row.group_id, row.from_ms, row.price_version])).toEqual([
      [groups[0]!.groupId, at('2026-04-13T10:20'), '2026-04'],
      [groups[0]!.groupId, at('2026-04-13T11:00'), 'april'],
    ]);
  });
});
