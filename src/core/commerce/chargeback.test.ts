import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Charge, largestRemainder, type Split, splitCharges } from './chargeback.ts';

const charge = (costMicros: bigint, supplyUs: bigint, work: Record<string, bigint>): Charge => ({
  costMicros,
  supplyUs,
  work: new Map(Object.entries(work)),
});
const sumOf = ({ shares, unallocatedMicros }: Split) =>
  [...shares.values()].reduce((sum, { usedMicros, idleMicros }) => sum + usedMicros + idleMicros, unallocatedMicros);

describe('by hand', () => {
  test('an hour of one unit at 3.60, a quarter used, two thirds of that by a', () => {
    const { shares, unallocatedMicros } = splitCharges([
      charge(3_600_000n, 3_600_000_000n, { a: 600_000_000n, b: 300_000_000n }),
    ]);
    expect(shares).toEqual(
      new Map([
        ['a', { usedMicros: 600_000n, idleMicros: 1_800_000n }],
        ['b', { usedMicros: 300_000n, idleMicros: 900_000n }],
      ]),
    );
    expect(unallocatedMicros).toBe(0n);
  });

  test('nobody worked: charged to nobody; more work than supplied: nothing was idle', () => {
    expect(splitCharges([charge(7n, 10n, {}), charge(5n, 10n, { a: 0n })])).toEqual({
      shares: new Map(),
      unallocatedMicros: 12n,
    });
    expect(splitCharges([charge(7n, 10n, { a: 12n })]).shares.get('a')).toEqual({ usedMicros: 7n, idleMicros: 0n });
  });

  test('the odd micro goes to the largest remainder, of equal ones to the first', () => {
    expect(largestRemainder(10n, [1n, 1n, 1n])).toEqual([4n, 3n, 3n]);
    expect(largestRemainder(10n, [15n, 6n, 4n])).toEqual([6n, 2n, 2n]); // 6, 2.4, 1.6
    expect(largestRemainder(-10n, [1n, 2n])).toEqual([-3n, -7n]);
    expect(() => largestRemainder(1n, [0n])).toThrow(RangeError);
    expect(() => largestRemainder(1n, [2n, -1n])).toThrow(RangeError);
  });
});

const amount = fc.bigInt({ min: 0n, max: 10n ** 15n });
const charges = fc.array(
  fc.record({
    costMicros: amount,
    supplyUs: amount,
    work: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), amount).map((work) => new Map(Object.entries(work))),
  }),
  { maxLength: 8 },
);

test('the split adds up to the cost, to the micro, and cutting it anywhere changes nothing', () => {
  fc.assert(
    fc.property(charges, fc.nat(8), (all, cut) => {
      const whole = splitCharges(all);
      expect(sumOf(whole)).toBe(all.reduce((sum, { costMicros }) => sum + costMicros, 0n));
      const parts = [splitCharges(all.slice(0, cut)), splitCharges(all.slice(cut))];
      for (const key of ['a', 'b', 'c', 'd']) {
        const used = parts.reduce((sum, { shares }) => sum + (shares.get(key)?.usedMicros ?? 0n), 0n);
        expect(used).toBe(whole.shares.get(key)?.usedMicros ?? 0n);
      }
    }),
  );
});

test('each part is its exact share, rounded down or up', () => {
  fc.assert(
    fc.property(amount, fc.array(amount, { minLength: 1, maxLength: 6 }), (micros, weights) => {
      const total = weights.reduce((sum, weight) => sum + weight, 0n);
      fc.pre(total > 0n);
      const parts = largestRemainder(micros, weights);
      expect(parts.reduce((sum, part) => sum + part, 0n)).toBe(micros);
      for (const [i, part] of parts.entries()) {
        const exact = micros * weights[i]!;
        expect(part * total > exact - total && part * total < exact + total).toBe(true);
      }
    }),
  );
});
