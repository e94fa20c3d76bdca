import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { floorDivide, formatMicros, parseMicros, roundHalfEven, splitMicros } from './money.ts';

const micros = fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n });

describe('decimal strings', () => {
  test.each([
    ['0', 0n],
    ['1.8', 1_800_000n],
    ['-0.000001', -1n],
    ['999999999999.999999', 999_999_999_999_999_999n],
  ])('%s is %d micros', (text, expected) => expect(parseMicros(text)).toBe(expected));

  test.each(['', ' 1', '1e3', '+1', '1.', '.5', '1.0000001', '1,5', '٣', '0x10', '1000000000000', '--1', 'NaN'])(
    '%j is refused',
    (text) => expect(() => parseMicros(text)).toThrow(expect.objectContaining({ code: 'invalid_request' })),
  );

  test('parsing undoes formatting', () => {
    fc.assert(
      fc.property(micros, (value) => {
        expect(parseMicros(formatMicros(value))).toBe(value);
      }),
    );
    expect(formatMicros(-1n)).toBe('-0.000001');
    expect(formatMicros(8_431_000n)).toBe('8.431000');
  });
});

describe('half to even', () => {
  test.each([
    [5n, 10n, 0n],
    [15n, 10n, 2n],
    [25n, 10n, 2n],
    [26n, 10n, 3n],
    [24n, 10n, 2n],
    [-5n, 10n, 0n],
    [-15n, 10n, -2n],
    [-16n, 10n, -2n],
    [7n, 7n, 1n],
  ])('%d ÷ %d → %d', (numerator, denominator, expected) => {
    expect(roundHalfEven(numerator, denominator)).toBe(expected);
  });

  test('is within half of the true quotient, odd only when strictly nearer, and the same mirrored', () => {
    fc.assert(
      fc.property(micros, fc.bigInt({ min: 1n, max: 10n ** 9n }), (numerator, denominator) => {
        const rounded = roundHalfEven(numerator, denominator);
        const twiceOff = 2n * (numerator - rounded * denominator);
        expect(twiceOff <= denominator && twiceOff >= -denominator).toBe(true);
        if (twiceOff === denominator || twiceOff === -denominator) expect(rounded % 2n).toBe(0n);
        expect(roundHalfEven(-numerator, denominator)).toBe(-rounded);
      }),
    );
    expect(() => roundHalfEven(1n, 0n)).toThrow(RangeError);
  });

  test('floor goes down on both sides of zero', () => {
    expect([floorDivide(7n, 2n), floorDivide(-7n, 2n), floorDivide(-8n, 2n)]).toEqual([3n, -4n, -4n]);
  });
});

describe('split', () => {
  test('parts add up and none is off by more than a micro', () => {
    const weights = fc.array(fc.bigInt({ min: 0n, max: 10n ** 6n }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(micros, weights, (value, parts) => {
        const total = parts.reduce((sum, part) => sum + part, 0n);
        fc.pre(total > 0n);
        const split = splitMicros(value, parts);
        expect(split.reduce((sum, part) => sum + part, 0n)).toBe(value);
        for (const [i, part] of split.entries()) {
          const off = part * total - value * parts[i]!;
          expect(off <= total && off >= -total).toBe(true);
        }
      }),
    );
  });

  test('nothing to split by is a mistake of the caller', () => {
    expect(() => splitMicros(1n, [])).toThrow(RangeError);
    expect(() => splitMicros(1n, [0n])).toThrow(RangeError);
    expect(() => splitMicros(1n, [2n, -1n])).toThrow(RangeError);
  });
});
