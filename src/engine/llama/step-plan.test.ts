import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type Running, StepPlan } from './step-plan.ts';

const one = (salt: string | null, prefillTokensLeft: number, lastUsed: number): Running => ({
  salt,
  prefillTokensLeft,
  lastUsed,
});

it('is first come, first served for an owner that is alone, in whole steps', () => {
  const [a, b, c] = [one('t', 100, 2), one('t', 30, 1), one('t', 0, 3)];
  expect([...new StepPlan().next([a, b, c], 64, 0)]).toEqual([
    [b, 30],
    [a, 34],
    [c, 0],
  ]);
});

it('in a step that prefills for an owner with fewer sequences, evaluates no prompt of one with more', () => {
  const flood = Array.from({ length: 4 }, (_, n) => one('flood', n < 2 ? 50 : 0, n));
  const quiet = one('quiet', 40, 9);
  const chunks = new StepPlan().next([...flood, quiet], 64, 0);
  expect([...chunks]).toEqual([
    [quiet, 40],
    [flood[2], 0],
    [flood[3], 0],
  ]);
});

it('lets the sequences of one with many take turns in decoding meanwhile, and all decode in every fifth step', () => {
  const flood = Array.from({ length: 5 }, (_, n) => one('flood', 0, n + 1));
  const [quiet, beside] = [one('quiet', 500, 8), one('other', 0, 9)];
  const plan = new StepPlan();
  const decoded = Array.from({ length: 6 }, () => {
    const chunks = plan.next([...flood, quiet, beside], 64, 0);
    return [...chunks].flatMap(([{ salt, lastUsed }, tokens]) => (salt === 'flood' && tokens === 0 ? [lastUsed] : []));
  });
  expect(decoded).toEqual([
    [1, 2],
    [3, 4],
    [1, 5],
    [2, 3],
    [1, 2, 3, 4, 5],
    [4, 5],
  ]);
  expect(plan.next([...flood, quiet, beside], 64, 0).get(beside)).toBe(0);
});

it('takes little of one with many while another was active half a minute ago', () => {
  const plan = new StepPlan();
  plan.next([one('quiet', 5, 1)], 64, 0);
  const flood = [one('flood', 50, 2), one('flood', 50, 3)];
  expect([...plan.next(flood, 64, 29_999).values()]).toEqual([8]);
  expect([...plan.next(flood, 64, 30_000).values()]).toEqual([50, 14]);
});

it('counts nobody as a crowd where all have as many', () => {
  const running = [one('a', 50, 1), one('a', 0, 2), one('b', 50, 3), one('b', 0, 4)];
  expect([...new StepPlan().next(running, 64, 0).values()]).toEqual([50, 14, 0, 0]);
});

it('goes on with every prompt and answer within a few steps, and never beyond the budget', () => {
  const owner = fc.constantFrom('a', 'b', 'c');
  const start = fc.record({ salt: owner, prefillTokensLeft: fc.nat(300) });
  fc.assert(
    fc.property(fc.array(start, { minLength: 1, maxLength: 8 }), fc.integer({ min: 16, max: 64 }), (starts, budget) => {
      const plan = new StepPlan();
      let running = starts.map((it, n) => ({ ...it, lastUsed: n + 1, outputTokensLeft: 30 }));
      for (let step = 0; running.length > 0; step += 1) {
        // With one budget a step for those who prefill, one part in five for crowds: all is done in a bounded time.
        if (step > 2_000) throw new Error('one does not get on');
        const chunks = plan.next(running, budget, step * 100);
        expect(chunks.size).toBeGreaterThan(0);
        let tokens = 0;
        for (const [it, chunk] of chunks) {
          tokens += chunk;
          expect(chunk).toBeLessThanOrEqual(it.prefillTokensLeft);
          it.prefillTokensLeft -= chunk;
          if (it.prefillTokensLeft === 0) it.outputTokensLeft -= 1;
        }
        expect(tokens).toBeLessThanOrEqual(budget);
        running = running.filter(({ outputTokensLeft }) => outputTokensLeft > 0);
      }
    }),
    { numRuns: 30 },
  );
});
