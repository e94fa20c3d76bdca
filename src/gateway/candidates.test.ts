import fc from 'fast-check';
import { expect, it } from 'vitest';
import { candidatesOf } from './candidates.ts';

const replicas = (count: number) => Array.from({ length: count }, (_, n) => n);

it('looks at all replicas while they are few', () => {
  expect(candidatesOf(replicas(64), 7, 3)).toEqual(replicas(64));
});

it('looks at no more than 64, each once, however many there are', () => {
  fc.assert(
    fc.property(fc.integer({ min: 65, max: 5_000 }), fc.nat(2 ** 32 - 1), fc.nat(1e6), (count, block, turn) => {
      const found = candidatesOf(replicas(count), block, turn);
      expect(found.length).toBeGreaterThanOrEqual(48);
      expect(found.length).toBeLessThanOrEqual(64);
      expect(new Set(found).size).toBe(found.length);
      expect(found.every((one) => one >= 0 && one < count)).toBe(true);
    }),
  );
});

it('shows prompts that begin alike the same 48, and every replica in turn', () => {
  const all = replicas(1_000);
  const first = candidatesOf(all, 12_345, 0).slice(0, 48);
  const seen = new Set<number>();
  for (let turn = 0; turn < 63; turn += 1) {
    const found = candidatesOf(all, 12_345, turn);
    expect(found.slice(0, 48)).toEqual(first);
    for (const one of found) seen.add(one);
  }
  expect(seen.size).toBe(1_000);
});

it('lets prompts without a whole block go round', () => {
  const all = replicas(1_000);
  const seen = new Set<number>();
  for (let turn = 0; turn < 21; turn += 1) for (const one of candidatesOf(all, undefined, turn)) seen.add(one);
  expect(seen.size).toBe(1_000);
});
