import { expect, test } from 'vitest';
import { type GatewaySignals, SignalMerger } from './merge.ts';

function report(gatewayId: string, atMs: number, changes: object = {}): GatewaySignals {
  const totals = { arrivals: 0, arrivedUs: 0, refused: 0, completed: 0, prefillUs: 0 };
  const times = { ttftMsSum: 0, ttftCount: 0, tpotMsSum: 0, tpotCount: 0 };
  const pools = { batchPerUnit: 8, kvTokensPerUnit: 16, kvTokensLikely: 3, prefillStretch: 1, queued: 2, queuedUs: 5 };
  const model = {
    servedModelId: 'sm-1',
    ...pools,
    ...totals,
    ...times,
    runningOn: new Map([['r', 4]]),
    unfit: new Map(),
    ...changes,
  };
  return { gatewayId, atMs, servedModels: [model] };
}

test('what is there is the sum of all that are heard', () => {
  const merged = new SignalMerger().merge([report('a', 0), report('b', -9_000)], 0)!.get('sm-1')!;
  expect(merged).toMatchObject({ queued: 4, queuedUs: 10, kvTokensLikely: 6, batchPerUnit: 8 });
  expect(merged.runningOn.get('r')).toBe(8);
});

test('totals grow by what each grew: one that comes with a past, or begins anew, makes no jump', () => {
  const merger = new SignalMerger();
  const arrivals = (nowMs: number, ...counts: (readonly [string, number])[]) =>
    merger
      .merge(
        counts.map(([id, arrivals]) => report(id, nowMs, { arrivals })),
        nowMs,
      )!
      .get('sm-1')!.arrivals;
  expect(arrivals(0, ['a', 100])).toBe(0);
  expect(arrivals(5_000, ['a', 110], ['b', 5_000])).toBe(10);
  expect(arrivals(10_000, ['a', 120], ['b', 5_007])).toBe(27);
  // b died and came back under its name.
  expect(arrivals(15_000, ['a', 120], ['b', 3])).toBe(30);
  expect(arrivals(20_000, ['a', 125])).toBe(35);
});

test('old ones do not count, and too few known freeze everything until the silent are given up', () => {
  const merger = new SignalMerger();
  const three = (nowMs: number, silent: readonly string[]) =>
    merger.merge(
      ['a', 'b', 'c'].map((id) => report(id, silent.includes(id) ? 0 : nowMs)),
      nowMs,
    );
  expect(three(0, [])!.get('sm-1')!.queued).toBe(6);
  expect(three(16_000, ['c'])!.get('sm-1')!.queued).toBe(4);
  expect(three(20_000, ['b', 'c'])).toBeNull();
  expect(three(60_000, ['b', 'c'])).toBeNull();
  expect(three(81_000, ['b', 'c'])!.get('sm-1')!.queued).toBe(2);
  expect(three(100_000, ['a', 'b', 'c'])).toBeNull();
  expect(merger.merge([], 200_000)).toBeNull();
  // A clock that runs ahead.
  expect(merger.merge([report('a', 300_000)], 200_000)).toBeNull();
});

test('a replica is kept out when half of the gateways say so: one may be idle, one may have trouble of its own', () => {
  const merger = new SignalMerger();
  const unfit = new Map([['r', 'failing']]);
  const saidBy = (count: number) =>
    merger
      .merge(
        ['a', 'b', 'c'].map((id, i) => report(id, 0, i < count ? { unfit } : {})),
        0,
      )!
      .get('sm-1')!.unfit;
  expect([saidBy(0).size, saidBy(1).size, saidBy(2)]).toEqual([0, 0, unfit]);
});
