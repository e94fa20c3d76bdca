import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, prefixBlocks, Router } from './routing.ts';

const OPTIONS = { batchPerReplica: 4, excluded: new Set<string>() };
const NEW = { sequences: 1, prefillUs: 1_000, blocks: [] };

function candidate(replicaId: string, outstandingUs = 0, running = 0): Candidate {
  return { replicaId, outstandingUs, running };
}

describe('prefixBlocks', () => {
  it('has one chained hash per whole block, at most 16', () => {
    expect(prefixBlocks('x'.repeat(255))).toEqual([]);
    expect(prefixBlocks('x'.repeat(10_000))).toHaveLength(16);
    const [a, b] = prefixBlocks('x'.repeat(512));
    expect(a).not.toBe(b);
    expect(prefixBlocks('y' + 'x'.repeat(511))[1]).not.toBe(b);
  });
});

describe('Router', () => {
  it('takes the least outstanding work, and ties go round', () => {
    const router = new Router();
    expect(router.pick([candidate('a', 5_000), candidate('b', 10)], NEW, OPTIONS)).toBe('b');
    const picks = [1, 2, 3, 4].map(() => router.pick([candidate('a'), candidate('b')], NEW, OPTIONS));
    expect(new Set(picks.slice(0, 2)).size).toBe(2);
    expect(picks.slice(2)).toEqual(picks.slice(0, 2));
  });

  it('filters full and excluded replicas, but an idle one takes any batch', () => {
    const router = new Router();
    expect(router.pick([candidate('a', 0, 4)], NEW, OPTIONS)).toBeNull();
    expect(router.pick([candidate('a')], { ...NEW, sequences: 9 }, OPTIONS)).toBe('a');
    const excluded = new Set(['a']);
    expect(router.pick([candidate('a'), candidate('b', 9e9)], NEW, { ...OPTIONS, excluded })).toBe('b');
    expect(router.pick([], NEW, OPTIONS)).toBeNull();
  });

  it('prefers the replica that has seen the prefix, until its load costs more than the prefill saves', () => {
    const request = { ...NEW, prefillUs: 1_000, blocks: prefixBlocks('p'.repeat(2_048)) };
    const router = new Router();
    const home = router.pick([candidate('a'), candidate('b')], request, OPTIONS) as string;
    const other = home === 'a' ? 'b' : 'a';
    for (const load of [100, 999]) {
      expect(router.pick([candidate(home, load), candidate(other)], request, OPTIONS)).toBe(home);
    }
    router.forget(home);
    expect(router.pick([candidate(home, 100), candidate(other)], request, OPTIONS)).toBe(other);
    expect(router.pick([candidate(home), candidate(other, 1_001)], request, OPTIONS)).toBe(home);
  });

  it('is deterministic and only ever picks an eligible replica', () => {
    const replica = fc.record({
      replicaId: fc.constantFrom('a', 'b', 'c', 'd'),
      outstandingUs: fc.nat(10_000),
      running: fc.nat(5),
    });
    const call = fc.record({
      candidates: fc.uniqueArray(replica, { selector: (r) => r.replicaId }),
      text: fc.string({ maxLength: 600 }),
    });
    fc.assert(
      fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
        const [one, two] = [new Router(), new Router()];
        for (const { candidates, text } of calls) {
          const request = { ...NEW, blocks: prefixBlocks(text) };
          const picked = one.pick(candidates, request, OPTIONS);
          expect(two.pick(candidates, request, OPTIONS)).toBe(picked);
          const eligible = candidates.filter((c) => c.running === 0 || c.running + 1 <= 4);
          expect(picked === null).toBe(eligible.length === 0);
          if (picked !== null) expect(eligible.map((c) => c.replicaId)).toContain(picked);
        }
      }),
    );
  });
});
