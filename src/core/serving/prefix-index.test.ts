import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PrefixIndex } from './prefix-index.ts';

describe('PrefixIndex', () => {
  it('says how much of a prefix each replica holds, and forgets what was used longest ago', () => {
    const index = new PrefixIndex(4);
    index.remember('a', [1, 2, 3]);
    index.remember('b', [1, 9]);
    expect([...index.matches([1, 2, 3, 4])]).toEqual([
      ['a', 3],
      ['b', 1],
    ]);
    // Room for one more: the end of the older prefix goes first.
    index.remember('a', [5, 6]);
    expect(index.matches([1, 2, 3]).get('a')).toBe(2);
    expect(index.fillOf('a')).toBe(1);
    expect(index.matches([])).toEqual(new Map());
    index.forget('a');
    expect([...index.matches([1, 2])]).toEqual([['b', 1]]);
  });

  it('agrees with a plain list of what was used last', () => {
    const prompt = fc.integer({ min: 0, max: 5 }).chain((root) =>
      // The n-th block of a root stands for all before it, as chained hashes do.
      fc.integer({ min: 1, max: 5 }).map((length) => Array.from({ length }, (_, place) => root * 10 + place)),
    );
    const put = fc.record({ replicaId: fc.constantFrom('a', 'b', 'c'), blocks: prompt });
    fc.assert(
      fc.property(fc.array(put, { maxLength: 40 }), prompt, fc.integer({ min: 1, max: 12 }), (puts, asked, most) => {
        const index = new PrefixIndex(most);
        const lists = new Map<string, number[]>();
        for (const { replicaId, blocks } of puts) {
          index.remember(replicaId, blocks);
          const rest = (lists.get(replicaId) ?? []).filter((block) => !blocks.includes(block));
          lists.set(replicaId, [...rest, ...blocks.toReversed()].slice(-most));
        }
        const expected = [...lists].flatMap(([replicaId, held]) => {
          const missing = asked.findIndex((block) => !held.includes(block));
          const matched = missing < 0 ? asked.length : missing;
          return matched === 0 ? [] : [[replicaId, matched] as const];
        });
        expect(new Map(index.matches(asked))).toEqual(new Map(expected));
      }),
    );
  });
});
