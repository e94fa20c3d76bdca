import { describe, expect, it } from 'vitest';
import { ClusterChecker } from './check.ts';

/** A run that keeps the rules: one unit, one request, 100 ms of unit time of which 50 billed: its start and drain are not. */
function kept(): ClusterChecker {
  const checker = new ClusterChecker();
  checker.unit('u0', 'starting', 0);
  checker.unit('u0', 'ready', 10);
  checker.arrived(0, 20);
  checker.sent(0, 'u0', 30);
  checker.firstToken(0, 40);
  return checker;
}
const SUM = { requests: 1, unitMs: 100, billedMs: 50 };

function end(checker: ClusterChecker, sum = SUM): () => void {
  return () => {
    checker.ended(0, 'completed', 50);
    checker.unit('u0', 'draining', 60);
    checker.holds('u0', 0, 100, 0, 8);
    checker.unit('u0', 'released', 100);
    checker.finish(sum);
  };
}

describe('ClusterChecker', () => {
  it('lets a run pass that keeps the rules', () => {
    expect(end(kept())).not.toThrow();
  });

  it.each<[string, (checker: ClusterChecker) => void, RegExp]>([
    ['an end that never comes', (checker) => checker.arrived(1, 45), /1 requests never ended/],
    ['a second arrival', (checker) => checker.arrived(0, 45), /arrives twice/],
    ['an end without a beginning', (checker) => checker.ended(9, 'completed', 45), /ends twice, or never came/],
    ['two first tokens', (checker) => checker.firstToken(0, 45), /two first tokens/],
    ['sending to nobody', (checker) => checker.sent(0, 'u7', 45), /u7, which is unknown/],
    [
      'a token from a unit that is gone',
      (checker) => {
        checker.arrived(1, 41);
        checker.sent(1, 'u0', 42);
        checker.unit('u0', 'released', 43);
        checker.firstToken(1, 44);
      },
      /gives a token while released/,
    ],
    ['more in the cache than fits', (checker) => checker.holds('u0', 101, 100, 1, 8), /holds 101 of 100/],
    ['more running than the batch', (checker) => checker.holds('u0', 1, 100, 9, 8), /runs 9 sequences of at most 8/],
    ['a state that cannot follow', (checker) => checker.unit('u0', 'starting', 45), /from ready to starting/],
    ['time that goes back', (checker) => checker.unit('u0', 'ready', 5), /time goes back/],
  ])('finds %s', (_name, fault, message) => {
    const checker = kept();
    fault(checker);
    expect(end(checker)).toThrow(message);
  });

  it('finds phantom KV: tokens held by nobody', () => {
    const checker = kept();
    checker.ended(0, 'completed', 50);
    checker.holds('u0', 16, 100, 0, 8);
    expect(checker.faults).toEqual(['u0 holds 16 KV tokens of nobody']);
  });

  it('adds the bill up by itself', () => {
    expect(end(kept(), { ...SUM, billedMs: 100 })).toThrow(/billed time: 100 ms accounted, 50/);
    expect(end(kept(), { ...SUM, unitMs: 99 })).toThrow(/unit time/);
    expect(end(kept(), { ...SUM, requests: 2 })).toThrow(/2 counted, 1 came/);
  });
});
