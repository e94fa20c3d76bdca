import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundHalfEven } from './money.ts';
import {
  diffPrices,
  discountedMicros,
  discountMillionths,
  formatPercent,
  nextChangeMs,
  parsePercent,
  pricedByMs,
  startsForRunningMs,
  type UnitPrices,
  versionAt,
} from './price-book.ts';

const at = (time: string) => Date.parse(`2026-04-13T${time}:00+08:00`);
const SHANGHAI = 'Asia/Shanghai';
const version = (id: string, validFromMs: number) => ({ id, validFromMs });
const versions = [version('a', 100), version('b', 200), version('c', 300)];

test.each([
  [0, 'a'],
  [100, 'a'],
  [199, 'a'],
  [200, 'b'],
  [299, 'b'],
  [300, 'c'],
  [10_000, 'c'],
])('at %i version %s is valid', (atMs, id) => {
  expect(versionAt(versions, atMs)?.id).toBe(id);
});

test('without versions none is valid', () => {
  expect(versionAt([], 0)).toBeUndefined();
});

test('the next change is the next beginning, strictly later', () => {
  expect([0, 100, 250, 300].map((afterMs) => nextChangeMs(versions, afterMs))).toEqual([100, 200, 300, null]);
});

describe('running units', () => {
  test.each([
    ['10:20', SHANGHAI, '11:00'],
    ['10:00', SHANGHAI, '10:00'],
    ['10:20', 'Asia/Kolkata', '10:30'],
    ['10:31', 'Asia/Kolkata', '11:30'],
    ['10:20', 'Asia/Kathmandu', '11:15'],
  ])('a version that begins at %s starts in %s at %s', (from, zone, start) => {
    expect(startsForRunningMs(at(from), zone)).toBe(at(start));
  });

  test('pay by the beginning of the hour, or by their order', () => {
    const group = { orderedAtMs: at('10:25'), zone: SHANGHAI };
    expect(pricedByMs(group, at('10:59'))).toBe(at('10:25'));
    expect(pricedByMs(group, at('11:00'))).toBe(at('11:00'));
    expect(pricedByMs(group, at('12:34'))).toBe(at('12:00'));
  });
});

describe('discounts', () => {
  const discounts = [
    { monthsMin: 3, percentMillionths: parsePercent('5') },
    { monthsMin: 12, percentMillionths: parsePercent('12.5') },
  ];
  test.each([
    [1, '0'],
    [2, '0'],
    [3, '5'],
    [11, '5'],
    [12, '12.5'],
    [36, '12.5'],
  ])('a term of %i months has %s %%', (months, percent) => {
    expect(formatPercent(discountMillionths(discounts, months))).toBe(percent);
  });

  test('12 months of 2 units at 1,728 less 12.5 % are 36,288', () => {
    expect(discountedMicros(2n * 12n * 1_728_000_000n, parsePercent('12.5'))).toBe(36_288_000_000n);
  });

  test('is the exact rational, rounded once', () => {
    const percent = fc.bigInt({ min: 0n, max: 99_999_900n });
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 18n }), percent, fc.nat(3600), (micros, off, part) => {
        const exact = roundHalfEven(micros * (100_000_000n - off) * BigInt(part), 100_000_000n * 3600n);
        expect(discountedMicros(micros, off, BigInt(part), 3600n)).toBe(exact);
        const whole = discountedMicros(micros, off);
        expect(whole <= micros && whole >= 0n).toBe(true);
      }),
    );
  });

  test('a percent reads back as it was written', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: 99_999_999n }), (off) => parsePercent(formatPercent(off)) === off));
  });

  test.each([-1n, 100_000_000n])('%s millionths are no discount', (off) => {
    expect(() => discountedMicros(1n, off)).toThrow(RangeError);
  });
});

test('a diff names what is added, removed and changed, and nothing else', () => {
  const price = (hourly: bigint, rest: Partial<UnitPrices> = {}): UnitPrices => ({
    hourlyPriceMicros: hourly,
    monthlyPriceMicros: 1n,
    penalty: 0.3,
    discounts: [],
    ...rest,
  });
  const discounts = [{ monthsMin: 3, percentMillionths: 1n }];
  const before = new Map([
    ['gone', price(1n)],
    ['same', price(2n)],
    ['dearer', price(3n)],
    ['kinder', price(4n)],
  ]);
  const after = new Map([
    ['same', price(2n)],
    ['new', price(9n)],
    ['dearer', price(5n)],
    ['kinder', price(4n, { discounts })],
  ]);
  expect(diffPrices(before, after)).toEqual([
    { templateId: 'dearer', before: price(3n), after: price(5n) },
    { templateId: 'gone', before: price(1n), after: null },
    { templateId: 'kinder', before: price(4n), after: price(4n, { discounts }) },
    { templateId: 'new', before: null, after: price(9n) },
  ]);
});
