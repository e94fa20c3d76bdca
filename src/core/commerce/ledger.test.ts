import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ACCOUNTS, assertBalanced, move } from './ledger.ts';

test('what moves neither appears nor vanishes', () => {
  const account = fc.constantFrom(...ACCOUNTS);
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), account, account, (amount, from, to) => {
      const entries = move(amount, from, to);
      assertBalanced(entries);
      expect(entries.map((entry) => entry.amountMicros)).toEqual([-amount, amount]);
    }),
  );
  expect(() => move(-1n, 'cash', 'wallet')).toThrow(RangeError);
});

test('unbalanced entries are refused', () => {
  const [debit, credit] = move(5n, 'cash', 'wallet');
  expect(() => assertBalanced([debit!])).toThrow('sum to -5');
  expect(() => assertBalanced([debit!, { ...credit!, amountMicros: 4n }])).toThrow('sum to -1');
  expect(() => assertBalanced([])).toThrow(RangeError);
});
