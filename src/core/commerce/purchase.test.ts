import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { breakEvenHours, cheapestPurchase, HOURS_PER_MONTH } from './purchase.ts';

/** 18 an hour, 8,640 a month: a month costs as much as 480 hours, 15.8 a day. */
const PRICE = { hourlyMicros: 18_000_000n, monthlyMicros: 8_640_000_000n };
const day = (...parts: readonly (readonly [hours: number, units: number])[]) =>
  parts.flatMap(([hours, units]) => Array.from({ length: hours }, () => units));

describe('prepaid and postpaid', () => {
  it('breaks even where a month costs as much as its hours', () => {
    expect(breakEvenHours(PRICE)).toBe(480);
  });

  it('buys by the month what is needed 16 hours a day, by the hour what is needed 8', () => {
    // 3 units always, 5 for 8 hours: 3 × 8,640 + 2 × 8 × 30.4167 × 18 = 25,920 + 8,760.
    expect(cheapestPurchase(day([16, 3], [8, 5]), PRICE)).toEqual({
      prepaidUnits: 3,
      postpaidUnitsMax: 2,
      postpaidUnitHours: (16 * 730) / 24,
      monthlyMicros: 34_680_000_000n,
    });
    // Needed 16 hours: 486.7 hours a month, above the 480.
    expect(cheapestPurchase(day([8, 3], [16, 5]), PRICE)).toMatchObject({ prepaidUnits: 5, postpaidUnitHours: 0 });
    expect(cheapestPurchase(day([9, 3], [15, 5]), PRICE)).toMatchObject({ prepaidUnits: 3 });
  });

  it('costs no more than any other split', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 24, maxLength: 24 }),
        fc.integer({ min: 1, max: 900 }),
        (units, hours) => {
          const price = { hourlyMicros: 1_000_003n, monthlyMicros: 1_000_003n * BigInt(hours) };
          const best = cheapestPurchase(units, price);
          for (let prepaid = 0; prepaid <= 20; prepaid += 1) {
            const over = units.reduce((sum, need) => sum + Math.max(0, need - prepaid), 0);
            const micros =
              BigInt(prepaid) * price.monthlyMicros + (price.hourlyMicros * BigInt(over * HOURS_PER_MONTH)) / 24n;
            expect(best.monthlyMicros).toBeLessThanOrEqual(micros + 1n);
          }
        },
      ),
    );
  });
});
