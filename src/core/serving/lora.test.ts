import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LoraFactor, mergedByRank, slowdownAt, withLora } from './lora.ts';
import { totalUs, workOf } from './work.ts';

const BASE = { p0Us: 30_000, p1Us: 100, p2Us: 3, d1Us: 1_000, d2Us: 9 };
const MEASURED: readonly LoraFactor[] = [
  { rank: 8, prefill: 1.1, decode: 1.2 },
  { rank: 16, prefill: 1.2, decode: 1.3 },
  { rank: 64, prefill: 1.6, decode: 1.4 },
];

describe('withLora', () => {
  it('multiplies what grows with tokens and leaves attention and fixed cost', () => {
    expect(withLora(BASE, 16, MEASURED)).toEqual({ ...BASE, p1Us: 120, d1Us: 1_300 });
  });

  it('takes ranks between and beyond the measured ones from the line through their neighbours', () => {
    expect(withLora(BASE, 40, MEASURED)?.p1Us).toBeCloseTo(140, 9);
    expect(withLora(BASE, 112, MEASURED)?.p1Us).toBeCloseTo(200, 9);
    expect(withLora(BASE, 4, MEASURED)?.d1Us).toBeCloseTo(1_200, 9);
    expect(withLora(BASE, 16, [{ rank: 8, prefill: 1.1, decode: 1.05 }])?.p1Us).toBeCloseTo(120, 9);
  });

  it('takes no work off beyond figures that fall by noise', () => {
    const noisy = [
      { rank: 8, prefill: 1.1, decode: 1.05 },
      { rank: 16, prefill: 1.2, decode: 1.01 },
    ];
    expect(withLora(BASE, 256, noisy)?.d1Us).toBe(BASE.d1Us);
    expect(slowdownAt(16, noisy)).toBe(1.2);
    expect(slowdownAt(16, [])).toBeNull();
    expect(
      mergedByRank(noisy, [{ rank: 16, prefill: 1, decode: 1 }, MEASURED[2]!]).map(({ prefill }) => prefill),
    ).toEqual([1.1, 1, 1.6]);
  });

  it('does not guess where nothing was measured', () => {
    expect(withLora(BASE, 8, [])).toBeNull();
  });

  it('never makes a request cheaper, nor a higher rank', () => {
    const rank = fc.integer({ min: 1, max: 256 });
    const tokens = fc.record({ promptTokens: fc.nat(4_000), cachedTokens: fc.nat(4_000), outputTokens: fc.nat(2_000) });
    fc.assert(
      fc.property(rank, rank, tokens, (a, b, request) => {
        const [low, high] = [Math.min(a, b), Math.max(a, b)].map((one) => withLora(BASE, one, MEASURED) ?? BASE);
        const work = (coefficients = BASE) => totalUs(workOf(coefficients, request));
        expect(work(low)).toBeGreaterThanOrEqual(work());
        expect(work(high)).toBeGreaterThanOrEqual(work(low));
      }),
    );
  });
});
