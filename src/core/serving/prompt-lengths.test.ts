import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PromptLengths } from './prompt-lengths.ts';

describe('PromptLengths', () => {
  it('knows what chat templates add before anything was counted', () => {
    const lengths = new PromptLengths();
    expect(lengths.estimate(4_000, 1)).toBe(1_012);
    expect(lengths.estimate(4_000, 0)).toBe(1_000);
    expect(new PromptLengths(28).estimate(40, 1)).toBe(42);
  });

  it('takes a template it did not know from the first short prompt', () => {
    const lengths = new PromptLengths();
    expect(lengths.estimate(12, 1)).toBe(15);
    lengths.observe(12, 1, 36);
    expect(lengths.estimate(12, 1)).toBeGreaterThan(30);
    expect(lengths.estimate(12, 1)).toBeLessThanOrEqual(36);
    // And keeps what it believes of long ones.
    expect(lengths.estimate(4_000, 1)).toBeGreaterThan(950);
    expect(lengths.estimate(4_000, 1)).toBeLessThan(1_100);
  });

  it('learns template, messages and bytes apart', () => {
    const lengths = new PromptLengths();
    for (let i = 0; i < 300; i += 1) {
      const messages = 1 + (i % 5);
      const bytes = 40 + ((i * 977) % 6_000);
      lengths.observe(bytes, messages, Math.round(25 + 5 * messages + 0.2 * bytes));
    }
    expect(lengths.estimate(40, 1)).toBeGreaterThanOrEqual(36);
    expect(lengths.estimate(40, 1)).toBeLessThanOrEqual(40);
    expect(Math.abs(lengths.estimate(6_000, 3) - 1_240)).toBeLessThan(10);
  });

  it('follows text of another kind', () => {
    const lengths = new PromptLengths();
    for (let i = 0; i < 500; i += 1) lengths.observe(3_000, 2, 1_508);
    expect(Math.abs(lengths.estimate(3_000, 2) - 1_508)).toBeLessThan(15);
    for (let i = 0; i < 200; i += 1) lengths.observe(3_000, 2, 620);
    expect(Math.abs(lengths.estimate(3_000, 2) - 620)).toBeLessThan(40);
  });

  it('ignores counts that teach nothing', () => {
    const lengths = new PromptLengths();
    lengths.observe(0, 1, 30);
    lengths.observe(100, 5, 0);
    expect(lengths.estimate(400, 0)).toBe(100);
  });

  it('stays finite and positive whatever engines count', () => {
    const prompt = fc.record({ bytes: fc.nat(8e6), messages: fc.nat(2_000), tokens: fc.nat(1e6) });
    fc.assert(
      fc.property(fc.array(prompt, { maxLength: 50 }), fc.nat(8e6), fc.nat(2_000), (seen, bytes, messages) => {
        const lengths = new PromptLengths();
        for (const one of seen) lengths.observe(one.bytes, one.messages, one.tokens);
        const estimate = lengths.estimate(bytes, messages);
        expect(Number.isSafeInteger(estimate) && estimate >= 1).toBe(true);
      }),
    );
  });
});
