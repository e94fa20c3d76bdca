import { expect, test } from 'vitest';
import { noSignals } from '../gateway/signals.ts';
import type { ServedSignals } from './observe.ts';
import { SignalSum } from './signal-sum.ts';

const model = (overrides: Partial<ServedSignals>): ServedSignals => ({
  servedModelId: 'sm-1',
  batchPerUnit: 8,
  kvTokensPerUnit: 1_000,
  kvTokens: 0,
  queued: 0,
  queuedUs: 0,
  ...noSignals(),
  runningOn: new Map(),
  ...overrides,
});
const runs = (running: number) => new Map([['rep-1', running]]);

test('what gateways hold is added; the units are the same for all', () => {
  const sum = new SignalSum();
  sum.take('a', [model({ kvTokens: 100, queued: 2, queuedUs: 50, arrivals: 7, runningOn: runs(3) })], 1_000);
  sum.take('b', [model({ kvTokens: 30, queued: 1, queuedUs: 5, arrivals: 4, runningOn: runs(2) })], 2_000);
  const { atMs, servedModels } = sum.read(3_000);
  expect(atMs).toBe(2_000);
  const want = { kvTokens: 130, queued: 3, queuedUs: 55, arrivals: 11, kvTokensPerUnit: 1_000, runningOn: runs(5) };
  expect(servedModels).toEqual([model(want)]);
  expect(sum.runningOn('rep-1', 3_000)).toBe(5);
  expect(sum.runningOn('rep-2', 3_000)).toBeNull();
});

test('totals never fall: not when a gateway goes, comes back, or is started anew', () => {
  const sum = new SignalSum();
  const arrivals = (nowMs: number) => sum.read(nowMs).servedModels.map((one) => one.arrivals);
  sum.take('a', [model({ arrivals: 10 })], 0);
  sum.take('b', [model({ arrivals: 5, runningOn: runs(1) })], 0);
  sum.take('a', [model({ arrivals: 12 })], 20_000);
  expect(arrivals(20_000)).toEqual([17]);
  // b is silent: what it held counts no more.
  expect(sum.runningOn('rep-1', 20_000)).toBeNull();
  sum.take('b', [model({ arrivals: 6 })], 21_000);
  expect(arrivals(21_000)).toEqual([18]);
  sum.take('a', [model({ arrivals: 3 })], 22_000);
  expect(arrivals(22_000)).toEqual([21]);
  expect(arrivals(60_000)).toEqual([]);
});
