import { expect, it } from 'vitest';
import { PrefillOrder } from './prefill-order.ts';

const one = (salt: string | null, prefillTokensLeft: number, lastUsed: number) => ({
  salt,
  prefillTokensLeft,
  lastUsed,
});

it('is first come, first served for an owner that is alone, in whole steps', () => {
  const [a, b, c] = [one('t', 100, 2), one('t', 30, 1), one('t', 0, 3)];
  expect([...new PrefillOrder().chunks([a, b, c], 64, 0)]).toEqual([
    [b, 30],
    [a, 34],
  ]);
});

it('takes the prompt of an owner with one sequence first, and little of one with many', () => {
  const flood = Array.from({ length: 4 }, (_, n) => one('flood', n < 2 ? 50 : 0, n));
  const quiet = one('quiet', 40, 9);
  const chunks = new PrefillOrder().chunks([...flood, quiet], 64, 0);
  expect([...chunks.values()]).toEqual([40, 16, 0]);
  expect([...chunks.keys()][0]).toBe(quiet);
});

it('takes little of one with many while another was active half a minute ago', () => {
  const order = new PrefillOrder();
  order.chunks([one('quiet', 5, 1)], 64, 0);
  const flood = [one('flood', 50, 2), one('flood', 50, 3)];
  expect([...order.chunks(flood, 64, 29_999).values()]).toEqual([16, 0]);
  expect([...order.chunks(flood, 64, 30_000).values()]).toEqual([50, 14]);
});

it('lets one with many go on whatever others have to prefill, within the budget', () => {
  const flood = [one('flood', 50, 1), one('flood', 0, 2)];
  expect([...new PrefillOrder().chunks([...flood, one('quiet', 500, 3)], 64, 0).values()]).toEqual([60, 4]);
});
