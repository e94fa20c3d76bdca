import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseSlot, type IdleSlot } from './slots.ts';

const system = Array.from({ length: 25 }, (_, index) => index);
const alice = [...system, ...Array.from({ length: 275 }, (_, index) => 1_000 + index)];
const bob = [...system, ...Array.from({ length: 200 }, (_, index) => 5_000 + index)];

function slot(tokens: readonly number[], salt: string | null, lastUsed: number): IdleSlot {
  return { tokens, salt, lastUsed };
}

describe('chooseSlot', () => {
  it('has nothing to choose when none is free', () => {
    expect(chooseSlot([], [1, 2], 'a')).toBeNull();
  });

  it('continues a conversation where it is', () => {
    const slots = [slot([], null, 0), slot(alice, 'a', 1), slot(bob, 'a', 2)];
    expect(chooseSlot(slots, [...alice, 7, 8], 'a')).toEqual({ slot: slots[1], reusedTokens: 300 });
  });

  it('does not destroy a conversation for a short common beginning', () => {
    const slots = [slot(alice, 'a', 1), slot([], null, 0)];
    expect(chooseSlot(slots, bob, 'a')).toEqual({ slot: slots[1], reusedTokens: 0 });
  });

  it('takes the least recently used slot when nothing fits, and still reuses what it has', () => {
    const slots = [slot(alice, 'a', 5), slot(bob, 'a', 2)];
    expect(chooseSlot(slots, [...system, 9_999], 'a')).toEqual({ slot: slots[1], reusedTokens: 25 });
  });

  it('evaluates at least the last token of a prompt', () => {
    expect(chooseSlot([slot([1, 2, 3], 'a', 1)], [1, 2, 3], 'a')?.reusedTokens).toBe(2);
  });

  it('never reuses across salts, and reuses a true prefix only', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 });
    const idle = fc.record({ tokens, salt: fc.constantFrom('a', 'b', null), lastUsed: fc.nat(9) });
    const prompt = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.array(idle, { minLength: 1, maxLength: 4 }), prompt, (slots, wanted) => {
        const choice = chooseSlot(slots, wanted, 'a');
        expect(choice).not.toBeNull();
        const { slot: chosen, reusedTokens } = choice as NonNullable<typeof choice>;
        if (chosen.salt !== 'a') expect(reusedTokens).toBe(0);
        expect(reusedTokens).toBeLessThan(wanted.length);
        expect(chosen.tokens.slice(0, reusedTokens)).toEqual(wanted.slice(0, reusedTokens));
      }),
    );
  });
});
