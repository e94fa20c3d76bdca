import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue, type Waiting } from './queue.ts';
import type { Share } from './shares.ts';

const ONE: readonly Share[] = [{ id: 'a', weight: 1 }];
const OTHER: readonly Share[] = [{ id: 'b', weight: 1 }];
const ANOTHER: readonly Share[] = [{ id: 'c', weight: 1 }];
const LIMITS = { count: 3, workUs: 100, bytes: 100, ageMs: 1_000 };

function waiting(deadlineMs: number, workUs = 1, bytes = 1, shares = ONE): Waiting {
  return { deadlineMs, workUs, bytes, shares };
}

describe('FairQueue', () => {
  it('refuses by count, work and bytes, and says by which', () => {
    const queue = new FairQueue<Waiting>(LIMITS);
    expect(queue.offer(waiting(5, 500, 500), 0)).toBe('queued');
    expect(queue.offer(waiting(5, 1, 1), 0)).toBe('full_work');
    queue.take();
    queue.offer(waiting(5, 1, 99), 0);
    expect(queue.offer(waiting(5, 1, 2), 0)).toBe('full_bytes');
    queue.offer(waiting(5, 1, 0, OTHER), 0);
    queue.offer(waiting(5, 1, 0, ANOTHER), 0);
    expect(queue.offer(waiting(5, 0, 0), 0)).toBe('full_count');
  });

  it('keeps equals in order and ends an age beyond the limit', () => {
    const queue = new FairQueue<Waiting>({ ...LIMITS, count: 6 });
    const [first, second, third] = [waiting(9_000), waiting(9_000), waiting(500)];
    for (const item of [first, second, third]) queue.offer(item!, 0);
    expect(queue.head()).toBe(third);
    expect(queue.takeExpired(999)).toEqual([third]);
    expect(queue.nextDeadlineMs()).toBe(1_000);
    const expired = queue.takeExpired(1_000);
    expect(expired[0]).toBe(first);
    expect(expired[1]).toBe(second);
    expect(queue.size).toBe(0);
  });

  it('behaves as a stable sort by deadline under any offers, takes and removals', () => {
    const event = fc.oneof(
      fc.record({ kind: fc.constant('offer' as const), deadline: fc.nat(20) }),
      fc.record({ kind: fc.constant('take' as const) }),
      fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(event, { maxLength: 100 }), (events) => {
        const queue = new FairQueue<Waiting>({ count: 60, workUs: 1e9, bytes: 1e9, ageMs: 1e9 });
        let model: Waiting[] = [];
        for (const e of events) {
          if (e.kind === 'offer') {
            const item = waiting(e.deadline, e.deadline + 1, 2);
            if (queue.offer(item, 0) === 'queued') model.push(item);
            model = model.toSorted((a, b) => a.deadlineMs - b.deadlineMs);
          }
          if (e.kind === 'take') expect(queue.take()).toBe(model.shift());
          if (e.kind === 'remove' && model.length > 0) {
            const [item] = model.splice(e.at % model.length, 1);
            expect(queue.remove(item!)).toBe(true);
            expect(queue.remove(item!)).toBe(false);
          }
          expect(queue.size).toBe(model.length);
          expect(queue.size).toBeLessThanOrEqual(30);
          expect(queue.workUs).toBe(model.reduce((sum, item) => sum + item.workUs, 0));
          expect(queue.bytes).toBe(model.length * 2);
          expect(queue.head()).toBe(model[0]);
        }
      }),
    );
  });
});
