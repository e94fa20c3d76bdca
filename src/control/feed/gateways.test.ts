import { expect, test } from 'vitest';
import type { RateUse } from '../../core/serving/rate-limit.ts';
import type { ServedModelStats } from '../../gateway/gateway.ts';
import { noSignals } from '../../gateway/signals.ts';
import { Gateways, reportOf } from './gateways.ts';

const stats = (utilization: number, warningEpisode: number | null): ServedModelStats => ({
  ...noSignals(),
  servedModelId: 'sm-1',
  utilization,
  warningEpisode,
  queued: 0,
  queuedUs: 0,
  batchPerUnit: 8,
  kvTokensPerUnit: 1_000,
  runningOn: new Map([['rep-1', 2]]),
  unfit: new Map(),
  levelUs: 0,
  capacityUs: 5_000_000,
  readyUnits: 1,
  running: 2,
  kvTokens: 0,
  kvTokensLikely: 0,
  prefillStretch: 1,
  outstandingUs: 0,
  reservedUs: 0,
  settledUs: 0,
  returnedUs: 0,
});

test('adds up what gateways in other processes say, tells each what the others use, and forgets those that fall silent', () => {
  let now = 1_000_000;
  const elsewhere: number[] = [];
  let others: RateUse | undefined;
  const own = {
    stats: () => ({ version: 1, active: 0, draining: false, servedModels: [stats(0.25, null)] }),
    runningOn: () => 2,
    limitsUsed: () => new Map([['key:k', { requests: 1, tokens: 10, workUs: 100, running: 1 }]]),
    usedElsewhere: (shares: ReadonlyMap<string, number>, limits: ReadonlyMap<string, RateUse>) => {
      elsewhere.push(shares.get('sm-1') ?? 0);
      others = limits.get('key:k');
    },
  };
  const gateways = new Gateways(own, () => now);
  const used = new Map([['key:k', { requests: 2, tokens: 20, workUs: 200, running: 0 }]]);
  // As it comes over the wire.
  const told = (id: string, one: ServedModelStats) =>
    gateways.report(JSON.parse(JSON.stringify(reportOf(id, [one], used))));
  expect(told('a', stats(0.5, 3))).toEqual({ elsewhere: { 'sm-1': 0.25 }, limits: { 'key:k': [1, 10, 100, 1] } });
  expect(told('b', stats(0.125, 1))).toEqual({ elsewhere: { 'sm-1': 0.75 }, limits: { 'key:k': [3, 30, 300, 1] } });
  expect(gateways.utilizations()).toEqual([{ servedModelId: 'sm-1', utilization: 0.875, episodes: ['a 3', 'b 1'] }]);
  expect(elsewhere.at(-1)).toBe(0.625);
  expect(others).toEqual({ requests: 4, tokens: 40, workUs: 400, running: 0 });
  expect(gateways.runningOn('rep-1')).toBe(6);
  now += 10_001;
  expect(gateways.utilizations()).toEqual([{ servedModelId: 'sm-1', utilization: 0.25, episodes: [] }]);
  expect(elsewhere.at(-1)).toBe(0);
  expect(others).toBeUndefined();
  expect(() => gateways.report({ gatewayId: 'c', servedModels: [{ servedModelId: 'sm-1' }] })).toThrow(/no report/);
});
