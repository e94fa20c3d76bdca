import fc from 'fast-check';
import { expect, test } from 'vitest';
import { currentAgreement } from './agreement.ts';

test('the current version is the latest that is valid already, in whatever order they come', () => {
  const versions = fc.uniqueArray(fc.record({ validFromMs: fc.nat(1000) }), { selector: (one) => one.validFromMs });
  fc.assert(
    fc.property(versions, fc.nat(1000), (all, nowMs) => {
      const valid = all.map((one) => one.validFromMs).filter((fromMs) => fromMs <= nowMs);
      expect(currentAgreement(all, nowMs)?.validFromMs).toBe(valid.length === 0 ? undefined : Math.max(...valid));
    }),
  );
});
