import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue, type Waiting } from './queue.ts';
import type { Share } from './shares.ts';

const WIDE = { count: 1e6, workUs: 1e15, bytes: 1e12, ageMs: 1e9 };
const SHARES = ['a', 'b', 'c', 'd'].map((id, n): Share => ({ id, weight: [1, 1, 2, 0.5][n]! }));

let nextDeadlineMs = 0;
function waiting(shares: readonly Share[], workUs: number, deadlineMs = nextDeadlineMs++): Waiting {
  return { shares, workUs, deadlineMs, bytes: 1 };
}

function idOf(item: Waiting | undefined, depth = 0): string | undefined {
  return item?.shares[depth]?.id;
}

const anyWork = fc.integer({ min: 1, max: 1_000 });
const anyShare = fc.integer({ min: 0, max: SHARES.length - 1 }).map((n) => SHARES[n]!);

describe('fair shares', () => {
  it('gives shares that always wait work by their weights, to within one request of each, whatever the sizes', () => {
    const works = fc.array(anyWork, { minLength: 40, maxLength: 40 });
    fc.assert(
      fc.property(fc.tuple(works, works, works, works), (all) => {
        const queue = new FairQueue<Waiting>(WIDE);
        for (const [n, own] of all.entries()) for (const work of own) queue.offer(waiting([SHARES[n]!], work), 0);
        const had = new Map(SHARES.map(({ id }) => [id, { workUs: 0, left: 40 }]));
        const largest = new Map(SHARES.map(({ id }, n) => [id, Math.max(...all[n]!)]));
        for (;;) {
          const item = queue.take()!;
          const own = had.get(idOf(item)!)!;
          own.workUs += item.workUs;
          own.left -= 1;
          if (own.left === 0) return;
          const apart = SHARES.flatMap((one) =>
            SHARES.map((other) => {
              const moreUs = had.get(one.id)!.workUs / one.weight - had.get(other.id)!.workUs / other.weight;
              return moreUs - largest.get(one.id)! / one.weight - largest.get(other.id)! / other.weight;
            }),
          );
          expect(Math.max(...apart)).toBeLessThanOrEqual(1e-6);
        }
      }),
      { numRuns: 30 },
    );
  });

  it('loses nothing, is never idle while somebody waits, and keeps its sums, under any events', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('offer' as const), share: anyShare, inner: anyShare, workUs: anyWork }),
      fc.record({ kind: fc.constant('take' as const) }),
      fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
      fc.record({ kind: fc.constant('pass' as const), share: anyShare, inner: anyShare, workUs: anyWork }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 120 }), (events) => {
        const queue = new FairQueue<Waiting>(WIDE);
        const inside = new Set<Waiting>();
        for (const e of events) {
          if (e.kind === 'offer') {
            const item = waiting([e.share, e.inner], e.workUs);
            const isNext = queue.isNext(item);
            expect(queue.offer(item, 0)).toBe('queued');
            inside.add(item);
            expect(queue.head() === item).toBe(isNext);
            expect(queue.aheadUs(item)).toBeLessThanOrEqual(queue.workUs);
          }
          if (e.kind === 'take') {
            const head = queue.head();
            const taken = queue.take();
            expect(taken).toBe(head);
            expect(taken !== undefined).toBe(inside.size > 0);
            if (taken !== undefined) expect(inside.delete(taken)).toBe(true);
          }
          if (e.kind === 'remove' && inside.size > 0) {
            const item = [...inside][e.at % inside.size]!;
            inside.delete(item);
            expect(queue.remove(item)).toBe(true);
          }
          if (e.kind === 'pass') queue.passedBy(waiting([e.share, e.inner], e.workUs));
          expect(queue.size).toBe(inside.size);
          expect(queue.workUs).toBe([...inside].reduce((sum, { workUs }) => sum + workUs, 0));
        }
        const rest = new Set<Waiting>();
        for (let item = queue.take(); item !== undefined; item = queue.take()) rest.add(item);
        expect(rest).toEqual(inside);
      }),
    );
  });

  it('lets a huge request in after a bounded amount of others’ work, however many small ones come', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1_000, max: 100_000 }), anyWork, (hugeUs, smallUs) => {
        const queue = new FairQueue<Waiting>(WIDE);
        const [a, b] = SHARES as [Share, Share];
        queue.offer(waiting([a], smallUs), 0);
        const huge = waiting([b], hugeUs);
        queue.offer(huge, 0);
        let passedUs = 0;
        for (let item = queue.take(); item !== huge; item = queue.take()) {
          passedUs += item!.workUs;
          queue.offer(waiting([a], smallUs), 0);
          expect(passedUs).toBeLessThanOrEqual(2 * smallUs);
        }
      }),
    );
  });

  it('puts one that comes before a share that floods, but for the request whose turn it is', () => {
    const queue = new FairQueue<Waiting>({ ...WIDE, count: 100_000 });
    const [flood, quiet] = SHARES as [Share, Share];
    for (let n = 0; n < 10_000; n += 1) queue.offer(waiting([flood], 10), 0);
    for (let n = 0; n < 100; n += 1) {
      queue.take();
      const item = waiting([quiet], 7, 1e9);
      expect(queue.aheadUs(item)).toBe(0);
      queue.offer(item, 0);
      expect([queue.take(), queue.take()]).toContain(item);
    }
  });

  it('does not clear what a share has had when it leaves and comes back', () => {
    const queue = new FairQueue<Waiting>(WIDE);
    const [a, b] = SHARES as [Share, Share];
    for (let n = 0; n < 50; n += 1) queue.offer(waiting([b], 10), 0);
    queue.offer(waiting([a], 100), 0);
    while (idOf(queue.take()) !== 'a');
    queue.offer(waiting([a], 100), 0);
    const before = [];
    for (let item = queue.take(); idOf(item) !== 'a'; item = queue.take()) before.push(item);
    expect(before.length).toBeGreaterThanOrEqual(9);
  });

  it('is fair between tenants first, then between the keys of each', () => {
    const queue = new FairQueue<Waiting>(WIDE);
    const [one, other] = SHARES as [Share, Share];
    const keys = ['k1', 'k2', 'k3'].map((id): Share => ({ id, weight: 1 }));
    for (let n = 0; n < 30; n += 1) for (const key of keys) queue.offer(waiting([one, key], 10), 0);
    for (let n = 0; n < 30; n += 1) queue.offer(waiting([other, { id: 'k9', weight: 1 }], 10), 0);
    const taken = Array.from({ length: 30 }, () => queue.take());
    expect(taken.filter((item) => idOf(item) === 'b')).toHaveLength(15);
    for (const { id } of keys) expect(taken.filter((item) => idOf(item, 1) === id)).toHaveLength(5);
  });

  it('keeps a share that floods out of what others need: half of the room, and half of the rest for the next', () => {
    const queue = new FairQueue<Waiting>({ count: 1_000, workUs: 1e9, bytes: 1e9, ageMs: 1e9 });
    const fill = (shares: readonly Share[]) => {
      for (let n = 0; ; n += 1) if (queue.offer(waiting(shares, 1), 0) !== 'queued') return n;
    };
    const [a, b, c] = SHARES as [Share, Share, Share];
    expect(queue.offer(waiting([a], 1), 0)).toBe('queued');
    expect(fill([a])).toBe(499);
    expect(queue.offer(waiting([a], 1), 0)).toBe('full_share');
    expect(fill([b])).toBe(250);
    expect(fill([c])).toBe(125);
    queue.remove(queue.head()!);
    expect(queue.size).toBe(874);
  });

  it.each([
    ['work', { workUs: 100 }],
    ['bytes', { bytes: 10 }],
  ])('bounds a share by %s too', (_what, limit) => {
    const queue = new FairQueue<Waiting>({ ...WIDE, ...limit });
    const [a, b] = SHARES as [Share, Share];
    let offer = 'queued';
    while (offer === 'queued') offer = queue.offer(waiting([a], 10), 0);
    expect([offer, queue.size]).toEqual(['full_share', 5]);
    expect(queue.offer(waiting([b], 10), 0)).toBe('queued');
  });
});
