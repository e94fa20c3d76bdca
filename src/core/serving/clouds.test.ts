import { describe, expect, it } from 'vitest';
import { type CloudModel, cloudUnits, weightedTokens } from './clouds.ts';

const ANY = [{ name: 'any', minimum: 1, step: 1 }];
const WHOLE: CloudModel = {
  id: 'whole',
  tokensPerUnit: 100,
  weights: { input: 1, output: 8 },
  longContext: { kind: 'whole_request', tiers: [{ aboveTokens: 1_000, weights: { input: 2, output: 12 } }] },
  sizes: ANY,
};
const MARGINAL: CloudModel = {
  id: 'marginal',
  tokensPerUnit: 100,
  weights: { input: 1, cached: 0.2 },
  longContext: { kind: 'marginal', tiers: [{ aboveTokens: 1_000, weights: { input: 2 } }] },
  sizes: ANY,
};

describe('long contexts', () => {
  it('of a whole request weigh all of it from the threshold on', () => {
    expect(weightedTokens(WHOLE, { input: 1_000, output: 10 })).toBe(1_080);
    expect(weightedTokens(WHOLE, { input: 1_001, output: 10 })).toBe(2_002 + 120);
  });

  it('at the margin weigh only what is beyond', () => {
    expect(weightedTokens(MARGINAL, { input: 1_000 })).toBe(1_000);
    expect(weightedTokens(MARGINAL, { input: 1_500 })).toBe(1_000 + 2 * 500);
    expect(weightedTokens(MARGINAL, { cached: 800, input: 700 })).toBeCloseTo(160 + 200 + 2 * 500, 9);
  });
});

describe('units', () => {
  it('are rounded up to the step and never below the minimum', () => {
    const model = { ...WHOLE, sizes: [{ name: 'x', minimum: 15, step: 5 }] };
    expect(cloudUnits(model, { input: 100 }, 1).sizes).toEqual([{ name: 'x', units: 15 }]);
    expect(cloudUnits(model, { input: 100 }, 16).sizes[0]?.units).toBe(20);
    expect(cloudUnits(model, { input: 100 }, 20).sizes[0]?.units).toBe(20);
  });

  it('are not invented where a cloud says nothing', () => {
    const unknown = expect.objectContaining({ code: 'unsupported_feature' });
    expect(() => cloudUnits(MARGINAL, { input: 10, output: 5 }, 1)).toThrow(unknown);
    expect(() => cloudUnits(MARGINAL, { cached: 1_500, input: 0 }, 1)).toThrow(unknown);
    const fixed = { ...WHOLE, onlyAt: { input: 3_500, output: 300 } };
    expect(() => cloudUnits(fixed, { input: 3_500, output: 301 }, 1)).toThrow(/3500 input and 300 output/);
  });

  it.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('refuse %s', (bad) => {
    const invalid = expect.objectContaining({ code: 'invalid_request' });
    expect(() => cloudUnits(WHOLE, { input: bad }, 1)).toThrow(invalid);
    expect(() => cloudUnits(WHOLE, { input: 1 }, bad)).toThrow(invalid);
  });
});
