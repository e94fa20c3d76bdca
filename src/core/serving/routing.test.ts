import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Candidate, mostHeadroom, type Pick, PREFIX_ENDS, prefixBlocks, Router } from './routing.ts';

const OPTIONS = { batchPerReplica: 4, excluded: new Set<string>() };
const NEW = { sequences: 1, prefillUs: 1_000, decodeUs: 500, blocks: [] };

function candidate(replicaId: string, prefillAheadUs = 0, running = 0): Candidate {
  return { replicaId, outstandingUs: prefillAheadUs, prefillAheadUs, running };
}

const idOf = (pick: Pick | null) => pick?.replicaId ?? null;

const blocksOf = (text: string) => prefixBlocks(new TextEncoder().encode(text));

describe('prefixBlocks', () => {
  it('has one chained hash per whole block', () => {
    expect(blocksOf('x'.repeat(255))).toEqual([]);
    const [a, b] = blocksOf('x'.repeat(512));
    expect(a).not.toBe(b);
    expect(blocksOf(`y${'x'.repeat(511)}`)[1]).not.toBe(b);
  });

  it('ends blocks every 256 bytes at first, then an eighth further each time, up to half a megabyte', () => {
    expect(PREFIX_ENDS.slice(0, 3)).toEqual([256, 512, 768]);
    expect(PREFIX_ENDS.at(-1)).toBe(512 * 1024);
    expect(PREFIX_ENDS.length).toBeLessThan(64);
    PREFIX_ENDS.forEach((end, place) => {
      const before = PREFIX_ENDS[place - 1] ?? 0;
      expect(end % 4).toBe(0);
      expect(end - before).toBeGreaterThan(0);
      expect(end - before).toBeLessThanOrEqual(Math.max(256, before / 8 + 4));
    });
    expect(blocksOf('x'.repeat(600_000))).toHaveLength(PREFIX_ENDS.length);
  });

  it('depends on every byte before its end and on none behind it', () => {
    const text = fc.uint8Array({ minLength: 256, maxLength: 9_000 });
    fc.assert(
      fc.property(text, fc.nat(), fc.integer({ min: 1, max: 255 }), (prompt, place, change) => {
        const at = place % prompt.length;
        const changed = prompt.slice();
        changed[at] = (changed[at] as number) ^ change;
        const [before, after] = [prefixBlocks(prompt), prefixBlocks(changed)];
        PREFIX_ENDS.slice(0, before.length).forEach((end, block) => {
          expect(before[block] === after[block]).toBe(end <= at);
        });
      }),
    );
  });
});

/** Nothing but the terms a test is about. */
const PLAIN = { alphaEmpty: 1, alphaFull: 1, beta: 0, gamma: 0 };

describe('Router', () => {
  it('takes the least work ahead, and ties go round', () => {
    const router = new Router(PLAIN);
    expect(idOf(router.pick([candidate('a', 5_000), candidate('b', 10)], NEW, OPTIONS))).toBe('b');
    const picks = [1, 2, 3, 4].map(() => idOf(router.pick([candidate('a'), candidate('b')], NEW, OPTIONS)));
    expect(new Set(picks.slice(0, 2)).size).toBe(2);
    expect(picks.slice(2)).toEqual(picks.slice(0, 2));
  });

  it('filters full and excluded replicas, but an idle one takes any batch', () => {
    const router = new Router();
    expect(router.pick([candidate('a', 0, 4)], NEW, OPTIONS)).toBeNull();
    expect(idOf(router.pick([candidate('a')], { ...NEW, sequences: 9 }, OPTIONS))).toBe('a');
    const excluded = new Set(['a']);
    expect(idOf(router.pick([candidate('a'), candidate('b', 9e9)], NEW, { ...OPTIONS, excluded }))).toBe('b');
    expect(router.pick([], NEW, OPTIONS)).toBeNull();
  });

  it('prefers the replica that has seen the prefix, until α times its load costs more than the prefill saves', () => {
    const request = { ...NEW, blocks: blocksOf('p'.repeat(2_048)) };
    for (const alpha of [1, 0.1]) {
      const router = new Router({ ...PLAIN, alphaEmpty: alpha, alphaFull: alpha, loadBound: 1e9 });
      const first = router.pick([candidate('a'), candidate('b')], request, OPTIONS) as Pick;
      expect(first.cachedShare).toBe(0);
      const home = first.replicaId;
      const other = home === 'a' ? 'b' : 'a';
      for (const load of [100, 999 / alpha]) {
        const pick = router.pick([candidate(home, load), candidate(other)], request, OPTIONS);
        expect(pick).toEqual({ replicaId: home, cachedShare: 1 });
      }
      router.forget(home);
      expect(idOf(router.pick([candidate(home, 100), candidate(other)], request, OPTIONS))).toBe(other);
      expect(idOf(router.pick([candidate(home), candidate(other, 1_001 / alpha)], request, OPTIONS))).toBe(home);
    }
  });

  it('sends the next turn of a long conversation to its own replica, not to one that shares the system prompt', () => {
    const system = 's'.repeat(8_000);
    const turnOf = (user: string, turns: number) => blocksOf(system + user.repeat(turns * 10_000));
    const router = new Router({ ...PLAIN, loadBound: 1e9 });
    const ask = (blocks: number[], loads: [number, number]) =>
      router.pick(
        [candidate('a', loads[0]), candidate('b', loads[1])],
        { ...NEW, blocks, blockEnds: PREFIX_ENDS },
        OPTIONS,
      );
    expect(idOf(ask(turnOf('u', 3), [0, 9_000]))).toBe('a');
    expect(idOf(ask(turnOf('v', 3), [9_000, 0]))).toBe('b');
    for (const [user, home] of [
      ['u', 'a'],
      ['v', 'b'],
    ] as const) {
      const pick = ask(turnOf(user, 4), [0, 0]);
      expect(pick?.replicaId).toBe(home);
      // 38,000 of 48,000 bytes, to the precision of an eighth.
      expect(pick?.cachedShare).toBeGreaterThan(0.68);
      expect(pick?.cachedShare).toBeLessThan(0.86);
    }
  });

  it('falls from one α to the other as a replica’s cache fills', () => {
    const request = { ...NEW, blocks: [1, 2] };
    const load = 5_000;
    const picked = (blocksMax: number) => {
      const router = new Router({ ...PLAIN, alphaFull: 0.1, blocksMax, loadBound: 1e9 });
      const home = idOf(router.pick([candidate('a')], request, OPTIONS)) as string;
      return idOf(router.pick([candidate(home, load), candidate('b')], request, OPTIONS));
    };
    expect(picked(1_000)).toBe('b');
    expect(picked(2)).toBe('a');
  });

  it('passes over a replica whose load is far beyond the others’, prefix or not', () => {
    const request = { ...NEW, blocks: [1] };
    const router = new Router({ ...PLAIN, alphaEmpty: 0, alphaFull: 0, loadBound: 2 });
    router.pick([candidate('a')], request, OPTIONS);
    const at = (load: number) =>
      idOf(router.pick([candidate('a', load), candidate('b', 1_000), candidate('c', 1_000)], request, OPTIONS));
    expect(at(3_000)).toBe('a');
    expect(at(100_000)).not.toBe('a');
  });

  it('goes where the adapter is loaded, unless loading it elsewhere is cheaper', () => {
    const request = { ...NEW, adapterId: 'lora' };
    const router = new Router({ ...PLAIN, adapterLoadUs: 10_000, loadBound: 1e9 });
    const at = (load: number) => {
      const holder = { ...candidate('a', load), adapters: new Set(['lora']) };
      return idOf(router.pick([holder, candidate('b')], request, OPTIONS));
    };
    expect(at(9_000)).toBe('a');
    expect(at(11_000)).toBe('b');
  });

  it('β evens out the work in the long run; whoever is new counts as average', () => {
    const router = new Router({ ...PLAIN, beta: 0.01 });
    const request = { ...NEW, blocks: [7] };
    const counts = new Map<string | null, number>();
    const pickOf = (ids: readonly string[]) => {
      const id = idOf(
        router.pick(
          ids.map((name) => candidate(name)),
          request,
          OPTIONS,
        ),
      );
      counts.set(id, (counts.get(id) ?? 0) + 1);
    };
    for (let turn = 0; turn < 2_000; turn += 1) pickOf(['a', 'b']);
    expect(Math.abs((counts.get('a') as number) - (counts.get('b') as number))).toBeLessThan(400);
    counts.clear();
    for (let turn = 0; turn < 300; turn += 1) pickOf(['a', 'b', 'c']);
    expect(counts.get('c') ?? 0).toBeLessThan(250);
  });

  it('is deterministic and only ever picks an eligible replica', () => {
    const replica = fc.record({
      replicaId: fc.constantFrom('a', 'b', 'c', 'd'),
      prefillAheadUs: fc.nat(10_000),
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
          const loaded = candidates.map((c) => ({ ...c, outstandingUs: 2 * c.prefillAheadUs }));
          const request = { ...NEW, blocks: blocksOf(text) };
          const picked = one.pick(loaded, request, OPTIONS);
          expect(two.pick(loaded, request, OPTIONS)).toEqual(picked);
          const open = loaded.filter((c) => c.running === 0 || c.running + 1 <= OPTIONS.batchPerReplica);
          expect(picked === null).toBe(open.length === 0);
          if (picked !== null) expect(open.map((c) => c.replicaId)).toContain(picked.replicaId);
        }
      }),
    );
  });
});

describe('mostHeadroom', () => {
  it('is the machine with the largest share of its cache free', () => {
    const machines = [
      { kvTokensReserved: 50, kvTokens: 100 },
      { kvTokensReserved: 60, kvTokens: 200 },
    ];
    expect(mostHeadroom(machines)).toBe(machines[1]);
    expect(mostHeadroom([])).toBeNull();
  });
});
