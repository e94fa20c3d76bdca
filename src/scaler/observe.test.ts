import { expect, test } from 'vitest';
import { occupiedUnits } from '../core/serving/scaling/load.ts';
import { observe, type ServedSignals } from './observe.ts';

const UNITS = ['a', 'b'].map((id) => ({ unitId: id, replicaIds: [id], state: 'ready' as const, sinceMs: 0 }));
const BOUNDS = { startupMs: 60_000, minUnits: 1, maxUnits: 9 };

function signals(given: Partial<ServedSignals>): ServedSignals {
  return {
    servedModelId: 'm',
    batchPerUnit: 10,
    kvTokensPerUnit: 1_000,
    kvTokensLikely: 0,
    prefillStretch: 1,
    queued: 0,
    queuedUs: 0,
    arrivals: 0,
    arrivedUs: 0,
    refused: 0,
    completed: 0,
    prefillUs: 0,
    ttftMsSum: 0,
    ttftCount: 0,
    tpotMsSum: 0,
    tpotCount: 0,
    runningOn: new Map(),
    unfit: new Map(),
    ...given,
  };
}

test('units whose steps are all full of prefill are full, though decoding takes part of each step', () => {
  const before = { atMs: 0, signals: signals({ prefillStretch: 2 }) };
  const after = { atMs: 1_000, signals: signals({ prefillStretch: 2, prefillUs: 1_000_000 }) };
  expect(occupiedUnits(observe(after, before, UNITS, BOUNDS))).toBeCloseTo(2);
  const half = { atMs: 1_000, signals: signals({ prefillStretch: 1, prefillUs: 1_000_000 }) };
  expect(occupiedUnits(observe(half, before, UNITS, BOUNDS))).toBeCloseTo(1);
});

test('the cache counts as it likely is, spread over the units that serve', () => {
  const reading = { atMs: 1_000, signals: signals({ kvTokensLikely: 500 }) };
  expect(observe(reading, null, UNITS, BOUNDS).units.map(({ kvShare }) => kvShare)).toEqual([0.25, 0.25]);
});
