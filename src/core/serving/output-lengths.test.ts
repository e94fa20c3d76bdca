import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../workload/random.ts';
import { LENGTH_OPTIONS, OutputLengths, pinballLoss } from './output-lengths.ts';

const NO_LIMIT = 1e9;
/** Log-uniform on [low, high]: its quantile q is low·(high/low)^q. */
const drawer = (seed: number) => {
  const next = seededRandom(seed);
  return (low: number, high: number) => Math.round(low * (high / low) ** next());
};

describe('OutputLengths', () => {
  it('starts at the prior and never exceeds max_tokens', () => {
    const lengths = new OutputLengths();
    expect(lengths.estimate('ep', 'a', 10_000)).toBe(256);
    expect(lengths.estimate('ep', 'a', 16)).toBe(16);
    expect(lengths.estimate('ep', 'a', 0)).toBe(1);
  });

  it('learns the 0.9 quantile of a log-uniform length within a bin', () => {
    const draw = drawer(7);
    const lengths = new OutputLengths();
    for (let i = 0; i < 5_000; i += 1) lengths.observe('ep', 'a', draw(10, 1_000), NO_LIMIT);
    expect(lengths.estimate('ep', 'a', NO_LIMIT) / (10 * 100 ** 0.9)).toBeGreaterThan(0.88);
    expect(lengths.estimate('ep', 'a', NO_LIMIT) / (10 * 100 ** 0.9)).toBeLessThan(1.12);
  });

  it('follows a change either way within some hundred answers', () => {
    const draw = drawer(8);
    const lengths = new OutputLengths();
    for (let i = 0; i < 3_000; i += 1) lengths.observe('ep', 'a', draw(10, 1_000), NO_LIMIT);
    for (let i = 0; i < 400; i += 1) lengths.observe('ep', 'a', draw(2, 20), NO_LIMIT);
    expect(lengths.estimate('ep', 'a', NO_LIMIT)).toBeLessThan(40);
    for (let i = 0; i < 100; i += 1) lengths.observe('ep', 'a', draw(10, 1_000), NO_LIMIT);
    expect(lengths.estimate('ep', 'a', NO_LIMIT)).toBeGreaterThan(200);
  });

  it('gives a new key what its endpoint learned, another endpoint nothing', () => {
    const draw = drawer(9);
    const lengths = new OutputLengths();
    for (let i = 0; i < 500; i += 1) lengths.observe('ep', 'a', draw(5, 20), NO_LIMIT);
    expect(lengths.estimate('ep', 'new', NO_LIMIT)).toBeLessThan(30);
    expect(lengths.estimate('other', 'a', NO_LIMIT)).toBe(256);
    for (let i = 0; i < 200; i += 1) lengths.observe('ep', 'long', draw(500, 2_000), NO_LIMIT);
    expect(lengths.estimate('ep', 'long', NO_LIMIT)).toBeGreaterThan(1_200);
    expect(lengths.estimate('ep', 'a', NO_LIMIT)).toBeLessThan(60);
  });

  it('takes an answer cut off at max_tokens for a longer one', () => {
    const draw = drawer(10);
    const lengths = new OutputLengths();
    for (let i = 0; i < 6_000; i += 1) {
      const limit = i % 2 === 0 ? 50 : NO_LIMIT;
      lengths.observe('ep', 'a', Math.min(limit, draw(10, 1_000)), limit);
    }
    expect(lengths.estimate('ep', 'a', NO_LIMIT) / (10 * 100 ** 0.9)).toBeGreaterThan(0.85);
    expect(lengths.estimate('ep', 'a', NO_LIMIT) / (10 * 100 ** 0.9)).toBeLessThan(1.2);
  });

  it('stays within its bounds whatever it sees', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(1e9), fc.nat(1e9))),
        fc.integer({ min: 1, max: 1e6 }),
        (observed, maxTokens) => {
          const lengths = new OutputLengths();
          for (const [tokens, limit] of observed) lengths.observe('ep', 'a', tokens, limit);
          const estimate = lengths.estimate('ep', 'a', maxTokens);
          expect(Number.isInteger(estimate) && estimate >= 1 && estimate <= maxTokens).toBe(true);
        },
      ),
    );
  });

  it('keeps its figures over more answers than a float counts', () => {
    const lengths = new OutputLengths();
    for (let i = 0; i < 30_000; i += 1) lengths.observe('ep', 'a', 100, NO_LIMIT);
    expect(lengths.estimate('ep', 'a', NO_LIMIT)).toBeGreaterThan(84);
    expect(lengths.estimate('ep', 'a', NO_LIMIT)).toBeLessThan(120);
  });

  it('forgets the least recently used learner at its bound', () => {
    const lengths = new OutputLengths({ ...LENGTH_OPTIONS, learnersMax: 4 });
    const observe = (endpoint: string) => {
      for (let i = 0; i < 200; i += 1) lengths.observe(endpoint, 'key', 3, NO_LIMIT);
    };
    for (const endpoint of ['a', 'b', 'a', 'c']) observe(endpoint);
    expect(lengths.estimate('b', 'key', NO_LIMIT)).toBe(256);
    expect(lengths.estimate('a', 'key', NO_LIMIT)).toBeLessThan(20);
  });
});

describe('pinballLoss', () => {
  it('charges a token short by the quantile and one over by the rest', () => {
    expect(pinballLoss(110, 100, 0.9)).toBeCloseTo(9);
    expect(pinballLoss(90, 100, 0.9)).toBeCloseTo(1);
    expect(pinballLoss(100, 100, 0.9)).toBe(0);
  });
});
