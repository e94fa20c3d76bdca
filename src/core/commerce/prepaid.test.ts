import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  closeLot,
  earnedMicros,
  type Lot,
  restPriceMicros,
  spanSeconds,
  takeBack,
  termPriceMicros,
} from './prepaid.ts';

const DAY_S = 86_400;
const month: Lot = { fromMs: 0, toMs: 30 * DAY_S * 1000, units: 3, paidMicros: 900_000_000n };

const anyLot: fc.Arbitrary<Lot> = fc.record({
  fromMs: fc.integer({ min: 0, max: 10 ** 9 }),
  toMs: fc.integer({ min: 10 ** 9 + 1, max: 10 ** 11 }),
  units: fc.integer({ min: 1, max: 10_000 }),
  paidMicros: fc.bigInt({ min: 0n, max: 10n ** 15n }),
});
const instant = fc.integer({ min: -(10 ** 6), max: 2 * 10 ** 11 });
const penalty = fc.integer({ min: 1, max: 1_000_000 }).map((millionths) => millionths / 1e6);

describe('worked examples', () => {
  test('a third of the month unused, one of three units given back, 30 % penalty: 70 of 100', () => {
    const closing = closeLot(month, { atMs: 20 * DAY_S * 1000, units: 1, penalty: 0.3 });
    expect(closing).toEqual({
      refundMicros: 70_000_000n,
      penaltyMicros: 30_000_000n,
      earnedMicros: 900_000_000n - 70_000_000n - 200_000_000n,
      rest: { fromMs: 20 * DAY_S * 1000, toMs: month.toMs, units: 2, paidMicros: 200_000_000n },
    });
  });

  test('the sums of docs/billing.md: 14 of 31 days and 3 hours are left', () => {
    const fromMs = Date.parse('2026-04-13T09:00+08:00');
    const toMs = Date.parse('2026-05-14T12:00+08:00');
    const atMs = Date.parse('2026-04-30T12:00+08:00');
    expect(spanSeconds({ fromMs, toMs }, atMs)).toMatchObject({ term: 2_689_200, unused: 1_209_600 });
    expect(restPriceMicros(1, { fromMs, toMs, months: 1 }, atMs, { monthlyPriceMicros: 1_728_000_000n })).toBe(
      777_253_012n,
    );
    const lot = { fromMs, toMs, units: 2, paidMicros: termPriceMicros(2, 1, 1_728_000_000n) };
    expect(closeLot(lot, { atMs, units: 2, penalty: 0.3 })).toMatchObject({
      refundMicros: 1_088_154_216n,
      penaltyMicros: 466_351_808n,
    });
    expect(earnedMicros(lot, Date.parse('2026-04-14T00:00+08:00'))).toBe(69_397_590n);
  });

  test('given back before it began: the penalty only', () => {
    const closing = closeLot(month, { atMs: -5, units: 3, penalty: 0.3 });
    expect(closing).toEqual({
      refundMicros: 630_000_000n,
      penaltyMicros: 270_000_000n,
      earnedMicros: 270_000_000n,
      rest: null,
    });
  });

  test('a begun second is used; after the end nothing is left', () => {
    expect(spanSeconds(month, 1)).toEqual({ term: 30 * DAY_S, used: 1, unused: 30 * DAY_S - 1 });
    expect(closeLot(month, { atMs: month.toMs + 1, units: 3, penalty: 0.3 }).refundMicros).toBe(0n);
    expect(earnedMicros(month, month.toMs)).toBe(month.paidMicros);
  });

  test('two units join for the last ten days of a month of 300.00: 200.00', () => {
    const term = { fromMs: 0, toMs: month.toMs, months: 1 };
    expect(restPriceMicros(2, term, 20 * DAY_S * 1000, { monthlyPriceMicros: 300_000_000n })).toBe(200_000_000n);
    expect(termPriceMicros(2, 3, 300_000_000n)).toBe(1_800_000_000n);
  });

  test('what was bought last is given back first', () => {
    const lots = [{ units: 2 }, { units: 3 }, { units: 1 }];
    expect(takeBack(lots, 2)).toEqual([
      { lot: lots[2], units: 1 },
      { lot: lots[1], units: 1 },
    ]);
    expect(() => takeBack(lots, 7)).toThrow('1 units more');
  });

  test.each([0, -1, 1.5, 4])('%d of 3 units cannot be given back', (units) => {
    expect(() => closeLot(month, { atMs: 0, units, penalty: 0.3 })).toThrow(RangeError);
  });
});

describe('against exact rationals', () => {
  test('the refund is the exact figure rounded down, and never all of it', () => {
    fc.assert(
      fc.property(anyLot, instant, penalty, fc.nat(), (lot, atMs, kept, seed) => {
        const units = 1 + (seed % lot.units);
        const closing = closeLot(lot, { atMs, units, penalty: kept });
        const { unused, term } = spanSeconds(lot, atMs);
        const millionths = BigInt(Math.round(kept * 1e6));
        const numerator = lot.paidMicros * BigInt(units) * BigInt(unused) * (1_000_000n - millionths);
        const denominator = BigInt(lot.units) * BigInt(term) * 1_000_000n;
        const rest = numerator - closing.refundMicros * denominator;
        expect(rest >= 0n && rest < denominator).toBe(true);
        if (lot.paidMicros > 0n) expect(closing.refundMicros < lot.paidMicros).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('money is conserved, and a day that was recognised is never paid back', () => {
    fc.assert(
      fc.property(anyLot, instant, fc.nat(), penalty, fc.nat(), (lot, atMs, before, kept, seed) => {
        const closing = closeLot(lot, { atMs, units: 1 + (seed % lot.units), penalty: kept });
        expect(closing.earnedMicros + closing.refundMicros + (closing.rest?.paidMicros ?? 0n)).toBe(lot.paidMicros);
        expect(closing.penaltyMicros >= 0n).toBe(true);
        expect(earnedMicros(lot, atMs - before) <= closing.earnedMicros).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('a lot that carries on ends when the first would have, with as many seconds as were left', () => {
    fc.assert(
      fc.property(anyLot, instant, (lot, atMs) => {
        fc.pre(lot.units > 1);
        const { rest } = closeLot(lot, { atMs, units: 1, penalty: 0.5 });
        const { unused } = spanSeconds(lot, atMs);
        fc.pre(unused > 0);
        expect(spanSeconds(rest!, rest!.fromMs).term).toBe(unused);
        expect(rest!.toMs).toBe(lot.toMs);
      }),
    );
  });

  test('earned grows from nothing to everything', () => {
    fc.assert(
      fc.property(anyLot, instant, fc.nat(), (lot, atMs, later) => {
        const earned = earnedMicros(lot, atMs);
        expect(earned >= 0n && earned <= earnedMicros(lot, atMs + later)).toBe(true);
        expect([earnedMicros(lot, lot.fromMs), earnedMicros(lot, lot.toMs)]).toEqual([0n, lot.paidMicros]);
      }),
    );
  });
});
