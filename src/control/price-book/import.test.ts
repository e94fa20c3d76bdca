import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { PriceBook } from '../../catalog/price-book.ts';
import { OPERATOR, refusal, type TestControl, testControl } from '../fixture.ts';
import { at } from '../prepaid/fixture.ts';
import { writeCsvBook } from './csv.ts';
import { priceBookDiff } from './diff.ts';
import { priceBookExport } from './export.ts';
import { readBookFile } from './file.ts';
import { bookOf, importBook, pricedWorld, takeIn } from './fixture.ts';
import { priceBookImport } from './import.ts';
import { priceBookList } from './list.ts';
import { priceBookShow } from './show.ts';
import { priceBookWithdraw } from './withdraw.ts';

const JUNE = '2026-06-01T00:00:00+08:00';
let control: TestControl;
beforeEach(async () => {
  ({ control } = await pricedWorld());
});

const list = async () => (await control.call(priceBookList, OPERATOR, {})).items;
const importText = (file: string, input: object = {}) => control.call(priceBookImport, OPERATOR, { file, ...input });
const faultsOf = async (call: Promise<unknown>) => {
  const { code, details } = await refusal(call);
  expect(code).toBe('invalid_request');
  return (details['faults'] as { field: string; message: string }[]).map((fault) => `${fault.field}: ${fault.message}`);
};

describe('import', () => {
  test('says what it changes; a dry run says the same and changes nothing', async () => {
    const tenant = await control.tenant();
    await control.endpoint(tenant.manager);
    const book = bookOf('june', JUNE, { hourly: '4.00', discounts: [{ monthsMin: 3, percent: '5' }] });
    const expected = {
      version: 'june',
      follows: '2026-04',
      validFromMs: at('2026-06-01T00:00'),
      runningGroups: 1,
      changes: [
        { templateId: 'alpha-elsewhere', change: 'removed', after: null },
        {
          templateId: 'alpha-local',
          change: 'changed',
          before: '3.60/h, 1728.00/month, penalty 0.3',
          after: '4.00/h, 1728.00/month, penalty 0.3, −5 % from 3 months',
        },
        { templateId: 'alpha-pair', change: 'removed' },
        { templateId: 'beta-local', change: 'removed' },
      ],
    };
    expect(await importBook(control, book, { dryRun: true })).toMatchObject({ ...expected, imported: false });
    expect(await list()).toHaveLength(1);
    expect(await importBook(control, book)).toMatchObject({ ...expected, imported: true });
    expect(await list()).toMatchObject([
      { version: 'june', state: 'future', source: 'import' },
      { version: '2026-04', state: 'valid', source: 'catalog' },
    ]);
    const { items } = await control.call(priceBookDiff, OPERATOR, { to: 'june' });
    expect(items).toMatchObject(expected.changes);
    control.nowMs = at('2026-06-01T00:00');
    expect((await list()).map(({ state }) => state)).toEqual(['valid', 'past']);
    expect(await control.call(priceBookShow, OPERATOR, {})).toMatchObject({
      version: 'june',
      prices: [{ templateId: 'alpha-local', hourly: { amount: '4.000000', currency: 'CNY' } }],
    });
  });

  test('names every fault of a JSON file, and nothing is changed', async () => {
    const good = bookOf('bad', JUNE).prices[0]!;
    const prices = [
      { ...good, hourly: '-1', monthly: '1.1234567', penalty: 0 },
      { ...good, templateId: 'nowhere', hourly: '0.00', penalty: 1.5 },
      { ...good, templateId: 'beta-local', hourly: '9999999999999', monthly: '1000000000.01', penalty: 0.1234567 },
      { ...good, templateId: 'beta-local', hourly: '1e3', monthly: 1728 },
      {
        ...good,
        templateId: 'alpha-pair',
        hourly: '10000000.5',
        discounts: [
          { monthsMin: 6, percent: '10' },
          { monthsMin: 3, percent: '100' },
          { monthsMin: 12, percent: '0' },
          { monthsMin: 1, percent: '1.23456' },
        ],
      },
      {
        ...good,
        templateId: 'alpha-elsewhere',
        discounts: [
          { monthsMin: 6, percent: '10' },
          { monthsMin: 6, percent: '10' },
        ],
        extra: 1,
      },
    ];
    const faults = await faultsOf(
      importText(JSON.stringify({ version: '2026-04', currency: 'EUR', validFrom: '2026-04-13', prices, more: 1 })),
    );
    expect(faults.toSorted()).toEqual([
      "currency: EUR is not the platform's currency; prices here are in CNY",
      'more: there is no such field; remove it or correct its name',
      'prices[0].hourly: is negative',
      'prices[0].monthly: has more than 6 decimals',
      'prices[0].penalty: a number above 0 and up to 1',
      'prices[1].hourly: is 0; leave the row out when it is not for sale',
      'prices[1].penalty: a number above 0 and up to 1',
      'prices[1].templateId: no template is called nowhere; add it or correct the name',
      'prices[2].hourly: is too large: 12 digits at most before the point',
      'prices[2].monthly: is more than 1000000000',
      'prices[2].penalty: has more than 6 decimals',
      'prices[3].hourly: "1e3" is not a decimal number such as 1.80',
      'prices[3].monthly: a decimal number in quotes, such as "1.80"',
      'prices[3].templateId: beta-local has a price already, in prices[2]; keep one',
      'prices[4].discounts[1].percent: is not below 100',
      'prices[4].discounts[2].percent: is 0; leave the discount out',
      'prices[4].discounts[3].monthsMin: a whole number of months, 2 to 36',
      'prices[4].discounts[3].percent: has more than 4 decimals',
      'prices[4].hourly: is more than 10000000',
      'prices[5].discounts[1].monthsMin: is not above the one before (6); order discounts by it',
      'prices[5].discounts[1].percent: is not above the one before (10): a longer term cannot cost more',
      'prices[5].extra: there is no such field; remove it or correct its name',
      'validFrom: an instant with its offset, such as 2026-11-01T00:00:00+08:00',
      'version: 2026-04 is taken; a version never changes, choose another id',
    ]);
    expect(await list()).toHaveLength(1);
  });

  test.each([
    ['a minute ahead at least', '2026-04-13T09:00:59+08:00', 'has to lie a minute ahead or more'],
    ['not in the past', '2026-04-01T00:00:00+08:00', 'has to lie a minute ahead or more'],
    ['not absurdly far', '2036-04-13T09:00:00+08:00', 'more than five years ahead'],
    ['not when another one begins', JUNE, 'version june begins then already'],
    ['nor at the same instant said otherwise', '2026-05-31T16:00:00Z', 'version june begins then already'],
  ])('validFrom: %s', async (_name, validFrom, message) => {
    await importBook(control, bookOf('june', JUNE));
    const faults = await faultsOf(importBook(control, bookOf('other', validFrom)));
    expect(faults).toEqual([expect.stringContaining(message)]);
    expect(faults[0]).toMatch(/^validFrom: /);
    expect(await list()).toHaveLength(2);
  });

  test('a version id is used once, also when it was withdrawn', async () => {
    await importBook(control, bookOf('june', JUNE));
    await control.call(priceBookWithdraw, OPERATOR, { version: 'june' });
    expect(await faultsOf(importBook(control, bookOf('june', JUNE)))).toEqual([
      'version: june is taken; a version never changes, choose another id',
    ]);
    await importBook(control, bookOf('june-2', JUNE));
    expect((await list()).map(({ version, state }) => [version, state])).toEqual([
      ['june-2', 'future'],
      ['june', 'withdrawn'],
      ['2026-04', 'valid'],
    ]);
  });

  test.each([
    ['', 'too small'],
    ['{', 'it is not JSON'],
    ['{"version":"v"}', 'prices'],
    ['null', 'the column is missing'],
    ['[]', 'the column is missing'],
    ['{"prices":7}', 'prices'],
    ['{"prices":[null]}', 'prices[0]'],
  ])('a file of %j is refused', async (text, message) => {
    const answer = await refusal(importText(text));
    expect(answer.code).toBe('invalid_request');
    expect(answer.message.toLowerCase()).toContain(message === 'too small' ? 'too small' : message.toLowerCase());
  });

  test('an unknown currency is told from another one', async () => {
    const [fault] = await faultsOf(importBook(control, { ...bookOf('x', JUNE), currency: 'QQQ' }));
    expect(fault).toBe('currency: there is no currency QQQ; prices here are in CNY');
  });
});

describe('CSV', () => {
  const HEAD = 'version,currency,validFrom,notes,templateId,hourly,monthly,penalty,discounts';

  test('one row a template; quotes, a byte order mark and other line ends are read', async () => {
    const text = `\uFEFF${HEAD}\r\njune,CNY,${JUNE},"dearer, ""a bit""",alpha-local,4.00,1900.00,0.3,3:5 12:12.5\r\n\r\n,,,,beta-local,2,900,0.25,\r\n`;
    await importText(text);
    expect(await control.call(priceBookShow, OPERATOR, { version: 'june' })).toMatchObject({
      notes: 'dearer, "a bit"',
      prices: [
        {
          discounts: [
            { monthsMin: 3, percent: '5' },
            { monthsMin: 12, percent: '12.5' },
          ],
        },
        { templateId: 'beta-local', hourly: { amount: '2.000000' }, penalty: 0.25, discounts: [] },
      ],
    });
  });

  test('every fault says line and column', async () => {
    const rows = [
      HEAD,
      `june,CNY,2026-04-01T00:00:00+08:00,"two`,
      `lines",alpha-local,-4,1900,0.3,`,
      ',EUR,,,beta-local,2.1234567,,x,3:5;2:7',
      ',,,,beta-local,1,1,0.3',
      ',,,,nowhere,1,1,0.3,abc',
    ];
    expect(await faultsOf(importText(rows.join('\n')))).toEqual([
      'line 2, hourly: is negative',
      expect.stringContaining('line 2, validFrom: has to lie a minute ahead or more'),
      'line 4, currency: is EUR, on the first row CNY',
      'line 4, hourly: has more than 6 decimals',
      'line 4, monthly: "" is not a decimal number such as 1.80',
      'line 4, penalty: a number above 0 and up to 1',
      'line 4, discounts[1].monthsMin: is not above the one before (3); order discounts by it',
      'line 5: has 8 cells, the header 9',
      'line 5, templateId: beta-local has a price already, in prices[1]; keep one',
      'line 6, discounts[0].monthsMin: a whole number of months, 2 to 36',
      'line 6, discounts[0].percent: "" is not a decimal number such as 1.80',
      'line 6, templateId: no template is called nowhere; add it or correct the name',
    ]);
    expect(await list()).toHaveLength(1);
  });

  test('columns have to be there, and only they', async () => {
    expect(await faultsOf(importText('version,currency,validFrom,templateId,hourly,monthly,colour,hourly\n'))).toEqual([
      'line 1, penalty: the column is missing',
      'line 1, colour: there is no such column; remove it or correct its name',
      'line 1, hourly: the column is there twice',
    ]);
    expect(await faultsOf(importText(`${HEAD}\na"b,CNY\n`))).toContain(
      'line 2: quotes are not closed, or are inside a cell: a"b',
    );
  });
});

const money = fc
  .bigInt({ min: 1n, max: 999_999_999_999n })
  .map((micros) => `${micros / 1_000_000n}.${String(micros % 1_000_000n).padStart(6, '0')}`);
const discounts = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 2, max: 36 }), fc.integer({ min: 1, max: 999_999 })), {
    maxLength: 6,
    selector: ([months]) => months,
  })
  .map((pairs) => {
    const months = pairs.map(([month]) => month).toSorted((a, b) => a - b);
    const percents = [...new Set(pairs.map(([, percent]) => percent))].toSorted((a, b) => a - b);
    return percents.map((percent, i) => ({ monthsMin: months[i]!, percent: String(percent / 10_000) }));
  });
const price = fc.record({
  hourly: money,
  monthly: money,
  penalty: fc.integer({ min: 1, max: 1e6 }).map((n) => n / 1e6),
  discounts,
});
const book: fc.Arbitrary<PriceBook> = fc
  .record({
    version: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,30}$/),
    notes: fc.option(
      fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).map((text) => text.trim()),
      { nil: undefined },
    ),
    minutes: fc.integer({ min: 1, max: 1_000_000 }),
    prices: fc.dictionary(fc.constantFrom('alpha-local', 'alpha-pair', 'beta-local', 'alpha-elsewhere'), price, {
      minKeys: 1,
    }),
  })
  .map(({ version, notes, minutes, prices }) => ({
    version,
    currency: 'CNY',
    validFrom: new Date(at('2026-04-13T10:00') + minutes * 60_000).toISOString(),
    ...(notes === undefined || notes === '' ? {} : { notes }),
    prices: Object.entries(prices).map(([templateId, { discounts: list, ...rest }]) => ({
      templateId,
      ...rest,
      ...(list.length === 0 ? {} : { discounts: list }),
    })),
  }));
const ids = new Set(['alpha-local', 'alpha-pair', 'beta-local', 'alpha-elsewhere']);

test('a book reads back from JSON and CSV as it was written', () => {
  fc.assert(
    fc.property(book, (written) => {
      for (const text of [JSON.stringify(written), writeCsvBook(written)]) {
        expect(readBookFile(text, undefined, ids)).toMatchObject({ book: written, faults: [] });
      }
    }),
  );
});

test.each(['json', 'csv'] as const)(
  'what is imported is exported, and imports again as the same, as %s',
  async (format) => {
    const written: PriceBook = {
      ...bookOf('june', JUNE, { discounts: [{ monthsMin: 3, percent: '5' }] }),
      notes: 'a, "b"\nc',
    };
    await importBook(control, written);
    const { text } = await control.call(priceBookExport, OPERATOR, { version: 'june', format });
    const other = await testControl();
    await takeIn(other);
    await other.call(priceBookImport, OPERATOR, { file: text });
    const again = await other.call(priceBookExport, OPERATOR, { version: 'june', format });
    expect(again.text).toBe(text);
    const stored = readBookFile(text, format, ids).book;
    expect(stored).toMatchObject(written);
  },
);

test('a version that is valid, or withdrawn, cannot be withdrawn', async () => {
  const withdraw = (version: string) => control.call(priceBookWithdraw, OPERATOR, { version });
  expect((await refusal(withdraw('2026-04'))).message).toContain('has been valid since');
  expect((await refusal(withdraw('none'))).code).toBe('not_found');
  await importBook(control, bookOf('june', JUNE));
  expect(await withdraw('june')).toMatchObject({ state: 'withdrawn', withdrawnAtMs: control.nowMs });
  expect((await refusal(withdraw('june'))).message).toContain('is withdrawn already');
});
