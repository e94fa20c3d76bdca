import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LENGTH_OPTIONS, OutputLengths, PromptLengths } from './lengths.ts';

/** A seeded generator (mulberry32), so that a run can be repeated. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('OutputLengths', () => {
  it('starts at the prior and never exceeds max_tokens', () => {
    const lengths = new OutputLengths();
    expect(lengths.estimate('a', 10_000)).toBe(256);
    expect(lengths.estimate('a', 16)).toBe(16);
    expect(lengths.estimate('a', 0)).toBe(1);
  });

  it('learns the 0.9 quantile of a log-uniform length, and follows a change', () => {
    const next = random(7);
    const lengths = new OutputLengths();
    const draw = (low: number, high: number) => Math.round(low * (high / low) ** next());
    for (let i = 0; i < 3_000; i += 1) lengths.observe('a', draw(10, 1_000));
    const learned = lengths.estimate('a', 1e6);
    // The true quantile is 10·100^0.9 ≈ 631.
    expect(learned).toBeGreaterThan(400);
    expect(learned).toBeLessThan(1_000);
    for (let i = 0; i < 1_000; i += 1) lengths.observe('a', draw(2, 20));
    expect(lengths.estimate('a', 1e6)).toBeLessThan(40);
    expect(lengths.estimate('b', 1e6)).toBe(256);
  });

  it('stays finite and positive whatever it sees', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1e9)), fc.integer({ min: 1, max: 1e6 }), (observed, maxTokens) => {
        const lengths = new OutputLengths();
        for (const tokens of observed) lengths.observe('a', tokens);
        const estimate = lengths.estimate('a', maxTokens);
        expect(Number.isInteger(estimate) && estimate >= 1 && estimate <= maxTokens).toBe(true);
      }),
    );
  });

  it('forgets the least recently used learner at its bound', () => {
    const lengths = new OutputLengths({ ...LENGTH_OPTIONS, learnersMax: 2 });
    for (const key of ['a', 'b', 'a', 'c']) for (let i = 0; i < 200; i += 1) lengths.observe(key, 3);
    expect(lengths.estimate('b', 1e6)).toBe(256);
    expect(lengths.estimate('a', 1e6)).toBeLessThan(20);
  });
});

describe('PromptLengths', () => {
  it('learns bytes per token from finished requests', () => {
    const lengths = new PromptLengths();
    expect(lengths.estimate(4_000, 1)).toBe(1_004);
    for (let i = 0; i < 500; i += 1) lengths.observe(3_000, 2, 1_508);
    expect(lengths.estimate(3_000, 2)).toBeGreaterThan(1_490);
    expect(lengths.estimate(3_000, 2)).toBeLessThan(1_510);
  });

  it('ignores counts that teach nothing', () => {
    const lengths = new PromptLengths();
    lengths.observe(0, 1, 30);
    lengths.observe(100, 5, 3);
    expect(lengths.estimate(400, 0)).toBe(100);
  });
});
