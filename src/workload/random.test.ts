import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { childSeed, exponential, gamma, normal, seededRandom, Weighted, weibull, weibullShapeOfCv } from './random.ts';

const DRAWS = 40_000;
const shapes = [weibullShapeOfCv(0.5), weibullShapeOfCv(2)] as const;

function momentsOf(draw: () => number): { mean: number; cv: number } {
  let sum = 0;
  let squares = 0;
  for (let index = 0; index < DRAWS; index += 1) {
    const value = draw();
    sum += value;
    squares += value * value;
  }
  const mean = sum / DRAWS;
  return { mean, cv: Math.sqrt(squares / DRAWS - mean * mean) / mean };
}

describe('seeded randomness', () => {
  it('repeats with the seed and differs with another', () => {
    const draw = (seed: number) => Array.from({ length: 5 }, seededRandom(seed));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(new Set(Array.from({ length: 1000 }, (_, index) => childSeed(7, index))).size).toBe(1000);
  });

  it('stays in [0, 1)', () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => {
        const value = seededRandom(seed)();
        return value >= 0 && value < 1;
      }),
    );
  });

  it.each([
    ['exponential', 1, (random: () => number) => exponential(random)],
    ['gamma of shape 4', 0.5, (random: () => number) => gamma(4, random)],
    ['gamma of shape 0.25', 2, (random: () => number) => gamma(0.25, random)],
    ['weibull of cv 0.5', 0.5, (random: () => number) => weibull(shapes[0], random)],
    ['weibull of cv 2', 2, (random: () => number) => weibull(shapes[1], random)],
  ])('%s has mean 1 and its coefficient of variation', (_, cv, draw) => {
    const random = seededRandom(3);
    const moments = momentsOf(() => draw(random));
    expect(moments.mean).toBeGreaterThan(0.96);
    expect(moments.mean).toBeLessThan(1.04);
    expect(moments.cv / cv).toBeGreaterThan(0.95);
    expect(moments.cv / cv).toBeLessThan(1.05);
  });

  it('draws a standard normal', () => {
    const random = seededRandom(5);
    const { mean, cv } = momentsOf(() => normal(random) + 10);
    expect(mean).toBeCloseTo(10, 1);
    expect(cv * mean).toBeCloseTo(1, 1);
  });

  it('finds the Weibull shapes known in closed form', () => {
    // Shape 1 is the exponential (cv 1); shape 1/2 has cv √5.
    expect(weibullShapeOfCv(1)).toBeCloseTo(1, 6);
    expect(weibullShapeOfCv(Math.sqrt(5))).toBeCloseTo(0.5, 6);
  });

  it('draws by weight, never a value of weight 0', () => {
    const weighted = new Weighted([
      [10, 1],
      [20, 0],
      [30, 3],
    ]);
    expect(weighted.mean()).toBe(25);
    const random = seededRandom(1);
    const counts: Record<number, number> = {};
    for (let index = 0; index < DRAWS; index += 1) {
      const value = weighted.draw(random);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    expect(Object.keys(counts)).toEqual(['10', '30']);
    expect((counts[30] ?? 0) / DRAWS).toBeCloseTo(0.75, 1);
    expect(() => new Weighted([[1, 0]])).toThrow(RangeError);
  });
});
