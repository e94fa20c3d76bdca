import { expect, test } from 'vitest';
import { stickyChoice } from './sticky.ts';

const sessions = Array.from({ length: 20_000 }, (_, i) => `conversation-${i}`);
const placed = (shares: Record<string, number>) =>
  sessions.map((one) =>
    stickyChoice(
      one,
      Object.entries(shares).map(([id, weight]) => ({ id, weight })),
    ),
  );
const shareOf = (places: readonly (string | undefined)[], id: string) =>
  places.filter((one) => one === id).length / places.length;

test('sessions are split as the weights say', () => {
  const places = placed({ a: 60, b: 30, c: 10, d: 0 });
  expect(shareOf(places, 'a')).toBeCloseTo(0.6, 1);
  expect(shareOf(places, 'b')).toBeCloseTo(0.3, 1);
  expect(shareOf(places, 'c')).toBeCloseTo(0.1, 1);
  expect(shareOf(places, 'd')).toBe(0);
});

test('10 → 20 % moves a tenth, and only to where the share grew', () => {
  const [before, after] = [placed({ old: 90, new: 10 }), placed({ old: 80, new: 20 })];
  const moved = sessions.flatMap((_, i) => (before[i] === after[i] ? [] : [[before[i], after[i]]]));
  expect(new Set(moved.map(String))).toEqual(new Set(['old,new']));
  expect(moved.length / sessions.length).toBeCloseTo(0.1, 1);
});

test('a session stays where it is whatever the order, and nowhere when nothing has a share', () => {
  const pair = [
    { id: 'a', weight: 50 },
    { id: 'b', weight: 50 },
  ];
  for (const one of sessions.slice(0, 100)) expect(stickyChoice(one, pair)).toBe(stickyChoice(one, pair.toReversed()));
  expect(stickyChoice('x', [{ id: 'a', weight: 0 }])).toBeUndefined();
});
