import { expect, it } from 'vitest';
import { KvBlocks } from './kv-blocks.ts';

const stored = (
  hashes: string[],
  tokenIds: number[],
  more: { parent?: string; salt?: string; adapter?: string } = {},
) => ({ kind: 'stored', hashes, parent: null, tokenIds, blockTokens: 2, adapter: '', salt: '', ...more }) as const;

it('finds a prompt’s beginning by its tokens, for its salt and adapter only', () => {
  const blocks = new KvBlocks();
  blocks.apply(stored(['a', 'b'], [1, 2, 3, 4], { salt: 't-1' }));
  blocks.apply(stored(['c'], [5, 6], { parent: 'b', salt: 't-1' }));
  expect(blocks.matchedTokens([1, 2, 3, 4, 5, 6, 7], 't-1', '')).toBe(6);
  expect(blocks.matchedTokens([1, 2, 9, 4, 5, 6], 't-1', '')).toBe(2);
  expect(blocks.matchedTokens([1, 2, 3, 4], 't-2', '')).toBe(0);
  expect(blocks.matchedTokens([1, 2, 3, 4], 't-1', 'mdl-a')).toBe(0);
  expect(blocks.matchedTokens([5, 6], 't-1', '')).toBe(0);
});

it('forgets what is removed or cleared, and keeps what another engine block stands for', () => {
  const blocks = new KvBlocks();
  blocks.apply(stored(['a', 'b'], [1, 2, 3, 4]));
  blocks.apply(stored(['a2'], [1, 2]));
  blocks.apply({ kind: 'removed', hashes: ['a', 'unknown'] });
  expect(blocks.matchedTokens([1, 2, 3, 4], 't', '')).toBe(4);
  blocks.apply({ kind: 'removed', hashes: ['a2'] });
  expect(blocks.matchedTokens([1, 2, 3, 4], 't', '')).toBe(0);
  expect(blocks.heldTokens).toBe(2);
  blocks.apply({ kind: 'cleared' });
  expect(blocks.size).toBe(0);
});

it('leaves out what it cannot chain, and drops the oldest beyond its bound', () => {
  const blocks = new KvBlocks(2);
  blocks.apply(stored(['x'], [9, 9], { parent: 'missed' }));
  expect(blocks.size).toBe(0);
  blocks.apply(stored(['a', 'b', 'c'], [1, 2, 3, 4, 5, 6]));
  expect(blocks.size).toBe(2);
  expect(blocks.matchedTokens([1, 2, 3, 4, 5, 6], 't', '')).toBe(0);
});
