import { describe, expect, it } from 'vitest';
import { Admission } from './admission.ts';
import { shapeOf, sharesAt } from './length-histogram.ts';
import { OutputLengths } from './output-lengths.ts';
import { kvNeed, typicalOf } from './typical.ts';

describe('typical requests', () => {
  it('of one length is half there at a random moment; none is longer than it may be', () => {
    const shape = shapeOf(sharesAt(1_000));
    expect(shape.mean / 1_000).toBeCloseTo(1, 0);
    expect(shape.age).toBeCloseTo(shape.mean / 2, 6);
    expect(shape.deviation).toBeCloseTo(0, 3);
    expect(typicalOf({ mean: 900, age: 800, deviation: 700 }, 50, 10, 2)).toEqual({
      contextTokens: 70,
      kvTokens: 70,
      kvVariance: 200,
    });
  });

  it('needs no more than is reserved, and less the more there are', () => {
    const typical = { kv: 300, variance: 200 ** 2 };
    const per = (n: number) => kvNeed(n * 700, n * typical.kv, n * typical.variance) / n;
    expect(per(1)).toBe(700);
    expect(per(100)).toBeCloseTo(360, 6);
    expect(per(10_000)).toBeCloseTo(306, 6);
  });

  it('lets in more than reservations would, and gives all of it back', () => {
    const limits = { readyUnits: 1, batchPerUnit: 1_000, kvTokensPerUnit: 10_000 };
    const lengths = new OutputLengths();
    for (let n = 0; n < 400; n += 1) lengths.observe('e', 'k', n % 10 === 0 ? 1_000 : 50, 10_000);
    const expected = lengths.estimate('e', 'k', 10_000);
    const base = { work: { prefillUs: 0, decodeUs: 0 }, kvTokens: 50 + expected, outputTokens: expected, sequences: 1 };
    const count = (estimate: typeof base) => {
      const admission = new Admission(limits, 0);
      const inside = [];
      while (admission.fit(estimate, 0).fits) inside.push(admission.reserve(estimate, 0));
      const most = inside.length;
      for (const one of inside) {
        admission.extend(one, { prefillUs: 0, decodeUs: 1 }, 100, 0);
        admission.settle(one, one.work, 0);
      }
      let again = 0;
      while (admission.fit(estimate, 0).fits) {
        admission.reserve(estimate, 0);
        again += 1;
      }
      expect(again).toBe(most);
      return most;
    };
    const typical = typicalOf(lengths.shape('e', 'k'), 50, 10_000, 1);
    expect(count({ ...base, typical } as typeof base)).toBeGreaterThan(count({ ...base, kvTokens: 1_050 }));
  });
});
