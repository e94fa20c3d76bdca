import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RETRY_BUDGET, RetryBudget } from './retry-budget.ts';

it('never gives more than was saved up, a share of the requests, and a trickle', () => {
  const event = fc.record({ request: fc.boolean(), waitMs: fc.integer({ min: -50, max: 400 }) });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 400 }), (events) => {
      const budget = new RetryBudget();
      let [nowMs, latestMs, requests] = [1_000, 1_000, 0];
      for (const { request, waitMs } of events) {
        nowMs += waitMs;
        latestMs = Math.max(latestMs, nowMs);
        if (request) {
          requests += 1;
          budget.earn();
        } else budget.take(nowMs);
        const { savedMax, share, perSecond } = RETRY_BUDGET;
        expect(budget.taken).toBeLessThanOrEqual(
          savedMax + share * requests + (perSecond * (latestMs - 1_000)) / 1_000 + 1e-6,
        );
      }
    }),
  );
});

it('is empty after a storm, counts what it refused, and fills again', () => {
  const budget = new RetryBudget();
  const taken = Array.from({ length: 100 }, () => budget.take(0)).filter(Boolean).length;
  expect([taken, budget.taken, budget.refused]).toEqual([RETRY_BUDGET.savedMax, RETRY_BUDGET.savedMax, 80]);
  expect([budget.take(1_999), budget.take(2_001)]).toEqual([false, true]);
  for (let request = 0; request < 5; request += 1) budget.earn();
  expect(budget.take(2_001)).toBe(true);
});
