import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fitsQuota, type Holding, quotaLimit, quotaUse } from './quota.ts';

const units = fc.integer({ min: 0, max: 1_000_000 });
const holdings = fc.array(fc.record({ units, headroomUnits: units }), { maxLength: 20 });

describe('use', () => {
  test('all groups count, and what their elastic rules may add', () => {
    const held = [
      { units: 3, headroomUnits: 0 },
      { units: 2, headroomUnits: 4 },
    ];
    expect(quotaUse(10, held)).toEqual({ limitUnits: 10, usedUnits: 5, headroomUnits: 4, freeUnits: 1 });
    expect(quotaUse(4, held)).toMatchObject({ usedUnits: 5, headroomUnits: 4, freeUnits: 0 });
    expect(quotaUse(null, held)).toMatchObject({ usedUnits: 5, freeUnits: null });
  });

  test('an order fits exactly when all that is held with it stays within the limit', () => {
    fc.assert(
      fc.property(units, holdings, fc.integer({ min: 1, max: 1_000_000 }), (limitUnits, held, added) => {
        const sum = held.reduce((total, one) => total + one.units + one.headroomUnits, 0);
        expect(fitsQuota(quotaUse(limitUnits, held), added)).toBe(sum + added <= limitUnits);
        expect(fitsQuota(quotaUse(null, held), added)).toBe(true);
      }),
    );
  });

  test('whatever is ordered, given back and set, orders alone never take more than the limit of their moment', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('order' as const), units: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ kind: fc.constant('end' as const), units: fc.nat(20) }),
      fc.record({ kind: fc.constant('limit' as const), units: fc.nat(30) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let limitUnits = 20;
        let held: Holding[] = [];
        for (const { kind, units } of steps) {
          const before = quotaUse(limitUnits, held);
          if (kind === 'limit') limitUnits = units;
          else if (kind === 'end') held = held.filter((_, index) => index !== units);
          else if (fitsQuota(before, units)) {
            held = [...held, { units, headroomUnits: 0 }];
            expect(quotaUse(limitUnits, held).usedUnits).toBeLessThanOrEqual(limitUnits);
            expect(quotaUse(limitUnits, held).freeUnits).toBe((before.freeUnits ?? 0) - units);
          }
          // A lower limit takes nothing away, and free is never below nothing.
          if (kind === 'limit') expect(quotaUse(limitUnits, held).usedUnits).toBe(before.usedUnits);
          expect(quotaUse(limitUnits, held).freeUnits).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });
});

test.each([
  [{ tenant: 0, template: 5, platform: 9 }, 0, 'tenant'],
  [{ tenant: null, template: 5, platform: 9 }, 5, 'template'],
  [{ tenant: null, template: null, platform: 9 }, 9, 'platform'],
  [{ tenant: null, template: null, platform: null }, null, 'none'],
] as const)('of %j the limit is %s, said by the %s', (says, limitUnits, source) => {
  expect(quotaLimit(says)).toEqual({ limitUnits, source });
});
