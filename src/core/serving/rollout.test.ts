import { expect, test } from 'vitest';
import { judge, type RolloutSample, sharesAt } from './rollout.ts';

const GUARD = { badPointsMax: 2, ttftRatioMax: 1.5, requestsMin: 20 };
const sample = (requests: number, bad = 0, ttftP95Ms: number | null = 100): RolloutSample => ({
  requests,
  bad,
  ttftP95Ms,
});

test.each([
  ['too few requests decide nothing, however bad', sample(19, 19), sample(100), 'wait'],
  ['as good as the old one', sample(20), sample(100), 'go'],
  ['two points worse is borne', sample(100, 3), sample(100, 1), 'go'],
  ['more is not', sample(100, 4), sample(100, 1), 'abort'],
  ['what both have is not the new one’s fault', sample(100, 30), sample(100, 30), 'go'],
  ['half as slow again is borne', sample(50, 0, 150), sample(50), 'go'],
  ['slower is not', sample(50, 0, 151), sample(50), 'abort'],
  ['an old one that served nothing is no yardstick of speed', sample(50, 0, 9_000), sample(0, 0, null), 'go'],
  ['but of errors', sample(50, 2), sample(0, 0, null), 'abort'],
  ['no token came', sample(50, 0, null), sample(50), 'go'],
])('%s', (_name, next, old, kind) => {
  expect(judge(next, old, GUARD).kind).toBe(kind);
});

test('shares are whole percents of what both have, and a step is never nothing', () => {
  expect([0, 1, 5, 50, 100].map((step) => sharesAt(step, 100).next)).toEqual([0, 1, 5, 50, 100]);
  expect([0, 1, 50, 100].map((step) => sharesAt(step, 10))).toEqual([
    { next: 0, old: 10 },
    { next: 1, old: 9 },
    { next: 5, old: 5 },
    { next: 10, old: 0 },
  ]);
});
