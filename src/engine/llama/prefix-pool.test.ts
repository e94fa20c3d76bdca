import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BLOCK_TOKENS, PrefixPool } from './prefix-pool.ts';

const run = (length: number, from = 0) => Array.from({ length }, (_, at) => from + at);
const state = (name: string, tokens: readonly number[], bytes = 10, salt = 'a') => ({ name, tokens, bytes, salt });

describe('PrefixPool', () => {
  it('finds the longest common beginning, to the token', () => {
    const pool = new PrefixPool(1_000);
    pool.add(state('short', run(40)));
    pool.add(state('other', run(90, 500)));
    const prompt = [...run(37), 7, 7, 7];
    expect(pool.longest('a', prompt)).toMatchObject({ prefix: { name: 'short' }, common: 37 });
    expect(pool.longest('a', [...run(90, 500), 1])).toMatchObject({ prefix: { name: 'other' }, common: 90 });
    expect(pool.longest('a', run(90, 9_000))).toBeNull();
    expect(pool.longest('a', run(BLOCK_TOKENS - 1))).toBeNull();
  });

  it('shares nothing between salts', () => {
    const pool = new PrefixPool(1_000);
    pool.add(state('mine', run(64)));
    expect(pool.longest('b', run(64))).toBeNull();
  });

  it('drops the least recently used over the bound, and what is larger than it', () => {
    const pool = new PrefixPool(25);
    pool.add(state('one', run(64)));
    pool.add(state('two', run(64, 1_000)));
    pool.longest('a', run(64));
    expect(pool.add(state('three', run(64, 2_000)))).toMatchObject([{ name: 'two' }]);
    expect(pool.longest('a', run(64, 1_000))).toBeNull();
    expect(pool.longest('a', run(64))).toMatchObject({ prefix: { name: 'one' } });
    expect(pool.add(state('huge', run(64, 3_000), 26))).toMatchObject([{ name: 'huge' }]);
    expect([pool.bytes, pool.size]).toEqual([20, 2]);
  });

  it('keeps one state of a conversation: the longest', () => {
    const pool = new PrefixPool(1_000);
    pool.add(state('turn 1', run(64)));
    expect(pool.add(state('turn 2', run(128)))).toMatchObject([{ name: 'turn 1' }]);
    expect(pool.add(state('again', run(100)))).toMatchObject([{ name: 'again' }]);
    expect([pool.bytes, pool.size]).toEqual([10, 1]);
  });

  it('never holds more than its bytes, and what it finds is a true common beginning of the same salt', () => {
    const tokens = fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 0, maxLength: 200 });
    const entry = fc.record({ tokens, bytes: fc.integer({ min: 1, max: 50 }), salt: fc.constantFrom('a', 'b') });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 20 }), tokens, (entries, prompt) => {
        const pool = new PrefixPool(100);
        const held = new Map<string, (typeof entries)[number]>();
        for (const [at, one] of entries.entries()) {
          held.set(String(at), one);
          for (const { name } of pool.add({ ...one, name: String(at) })) held.delete(name);
          expect(pool.bytes).toBeLessThanOrEqual(100);
        }
        expect(pool.bytes).toBe([...held.values()].reduce((sum, { bytes }) => sum + bytes, 0));
        const found = pool.longest('a', prompt);
        if (found === null) return;
        expect(found.prefix.salt).toBe('a');
        expect(held.has(found.prefix.name)).toBe(true);
        expect(found.prefix.tokens.slice(0, found.common)).toEqual(prompt.slice(0, found.common));
      }),
    );
  });
});
