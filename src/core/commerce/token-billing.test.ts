import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NO_TOKENS_BILLED, type TokenTerm, tokenLine, tokensCostMicros } from './token-billing.ts';

const PRICE = { inputMicros: 800_000n, cachedMicros: 160_000n, outputMicros: 2_000_000n, version: 'v1' };
const tokens = (inputTokens: number, cachedTokens: number, outputTokens: number) => ({
  inputTokens,
  cachedTokens,
  outputTokens,
  price: PRICE,
});

test('a line by hand, with its arithmetic', () => {
  const line = tokenLine([tokens(1_200, 400, 90)], NO_TOKENS_BILLED, 'CNY');
  // 1,200 × 0.8 + 400 × 0.16 + 90 × 2 = 960 + 64 + 180 micros
  expect(line).toMatchObject({ amountMicros: 1_204n, total: { amountMicros: 1_204n, carryPicos: 0 } });
  expect(line.arithmetic).toBe(
    '(1,200 input × 0.800000 + 400 cached × 0.160000 + 90 output × 2.000000) CNY/million (v1) = 0.001204 CNY',
  );
});

test('what rounding leaves over is carried: three lines of 0.4 micros are one micro', () => {
  const half = { ...tokens(1, 0, 0), price: { ...PRICE, inputMicros: 400_000n } };
  const lines = [];
  let before = NO_TOKENS_BILLED;
  for (let i = 0; i < 3; i += 1) {
    lines.push(tokenLine([half], before, 'CNY'));
    before = lines.at(-1)!.total;
  }
  expect(lines.map((line) => line.amountMicros)).toEqual([0n, 1n, 0n]);
  expect(lines[1]!.arithmetic).toContain('; rounded since the start: 0.000001 − 0.000000 = 0.000001 CNY');
  expect(before).toEqual({ amountMicros: 1n, carryPicos: 200_000 });
});

test('prices change between terms of a line', () => {
  const dearer = { ...PRICE, inputMicros: 1_000_000n, version: 'v2' };
  const line = tokenLine([tokens(10, 0, 0), { ...tokens(10, 0, 0), price: dearer }], NO_TOKENS_BILLED, 'CNY');
  expect(line.amountMicros).toBe(18n);
  expect(line.arithmetic).toBe(
    '(10 input × 0.800000) CNY/million (v1) + (10 input × 1.000000) CNY/million (v2) = 0.000018 CNY',
  );
});

test('however usage is cut into lines, they add up to the exact sum rounded once', () => {
  const count = fc.nat(5_000_000);
  const price = fc.record({
    inputMicros: fc.bigInt(0n, 10n ** 12n),
    cachedMicros: fc.bigInt(0n, 10n ** 9n),
    outputMicros: fc.bigInt(0n, 10n ** 12n),
    version: fc.constant('v'),
  });
  const term = fc.record({ inputTokens: count, cachedTokens: count, outputTokens: count, price });
  fc.assert(
    fc.property(fc.array(fc.tuple(term, fc.boolean()), { maxLength: 20 }), (usage) => {
      let before = NO_TOKENS_BILLED;
      let sum = 0n;
      let pending: TokenTerm[] = [];
      for (const [one, cut] of usage) {
        pending.push(one);
        if (!cut) continue;
        const line = tokenLine(pending, before, 'CNY');
        expect(line.amountMicros).toBeGreaterThanOrEqual(0n);
        expect(Math.abs(line.total.carryPicos)).toBeLessThanOrEqual(500_000);
        sum += line.amountMicros;
        before = line.total;
        pending = [];
      }
      sum += tokenLine(pending, before, 'CNY').amountMicros;
      expect(sum).toBe(tokensCostMicros(usage.map(([one]) => one)));
    }),
  );
});
