import { expect, test } from 'vitest';
import { prefillStretch } from './scaling/load.ts';
import type { ScalingObservation } from './scaling/observation.ts';
import { headroom, Scaling, type ScalingPolicy } from './scaling.ts';

const POLICY: ScalingPolicy = { coefficient: 1, scaleInAfterMs: 300_000, ttftMsMax: null, tpotMsMax: null };

/** What is measured, with units that are all equally full. */
interface Facts extends Partial<ScalingObservation> {
  /** Units' worth of load that is asked for. */
  readonly load?: number;
  /** At the beginning. */
  readonly first?: number;
}

/** Decides every 5 s; units follow at once. */
function run(spans: readonly (readonly [seconds: number, facts: Facts])[], policy: Partial<ScalingPolicy> = {}) {
  const scaling = new Scaling({ ...POLICY, ...policy });
  let atMs = 0;
  let units = spans[0]![1].first ?? 10;
  const decisions = [];
  for (const [seconds, facts] of spans) {
    for (const endMs = atMs + seconds * 1_000; atMs < endMs; atMs += 5_000) {
      const decision = scaling.decide(observed(units, facts), atMs);
      units = decision.desiredUnits;
      decisions.push({ atMs, units, cause: decision.cause, reason: decision.reason });
    }
  }
  return decisions;
}

function observed(count: number, { load = 4, first: _first, ...facts }: Facts): ScalingObservation {
  const share = count === 0 ? 0 : Math.min(1, load / count);
  const unit = {
    state: 'ready',
    sinceMs: 0,
    running: share * 10,
    batchShare: share,
    kvShare: 0,
    prefillShare: 0,
  } as const;
  return {
    windowMs: 5_000,
    units: Array.from({ length: count }, (_, i) => ({ ...unit, unitId: `u${i}` })),
    startingUnits: 0,
    readyUnits: count,
    drainingUnits: 0,
    queued: 0,
    queuedWorkUs: 0,
    arrivals: 10,
    arrivedWorkUs: 1_000_000,
    refused: 0,
    completed: 10,
    ttftMsMean: null,
    tpotMsMean: null,
    startupMs: 180_000,
    minUnits: 1,
    maxUnits: 50,
    ...facts,
  };
}

test('need is the load with the headroom of a square root, and the coefficient on the load', () => {
  expect(headroom(4, 1)).toBe(8);
  expect(headroom(4, 1.5)).toBe(10);
  expect(headroom(0, 1)).toBe(0);
  const last = run([[900, { load: 9, first: 10 }]]).at(-1)!;
  expect(last).toMatchObject({ units: 15, cause: 'hold' });
});

test('units are added at once and given back only after the patience', () => {
  const decisions = run([
    [600, { load: 1 }],
    [60, { load: 16 }],
    [1_200, { load: 1 }],
  ]);
  const peak = Math.max(...decisions.map((one) => one.units));
  expect(peak).toBeGreaterThanOrEqual(20);
  const atPeakMs = decisions.find((one) => one.units === peak)!.atMs;
  const firstFewer = decisions.find((one) => one.atMs > atPeakMs && one.units < peak)!;
  expect(firstFewer.atMs - 660_000).toBeGreaterThanOrEqual(300_000 - 35_000);
  expect(decisions.at(-1)!.units).toBe(3);
});

test('nothing is given back before there was time to see what is needed', () => {
  const decisions = run([[300, { load: 0 }]]);
  expect(new Set(decisions.map((one) => one.units))).toEqual(new Set([10]));
  expect(run([[400, { load: 0 }]]).at(-1)).toMatchObject({ units: 1 });
});

test('full units are never taken for too many, however small the coefficient', () => {
  const decisions = run([[1_200, { load: 99, first: 10, queued: 5, queuedWorkUs: 1 }]], { coefficient: 0.3 });
  expect(Math.min(...decisions.map((one) => one.units))).toBeGreaterThanOrEqual(10);
});

test('what waits counts where load lasts; where bursts are shorter than a start it buys nothing, and need is held longer', () => {
  const waits = { load: 8, queued: 60, queuedWorkUs: 60_000_000 };
  const steady: [number, Facts] = [600, { load: 8 }];
  expect(run([steady, [30, waits]]).some((one) => one.cause === 'backlog')).toBe(true);
  const bursts: [number, Facts][] = Array.from({ length: 40 }, (_, i) =>
    i % 4 === 0 ? [30, waits] : [60, { load: 0.2 }],
  );
  expect(run(bursts).some((one) => one.cause === 'backlog')).toBe(false);
  const heldS = (spans: [number, Facts][]) => {
    const decisions = run([...spans, [1_800, { load: 0.2 }]]);
    const peak = decisions.findLast((one) => one.units > 5)!;
    return peak.atMs / 1_000 - spans.reduce((sum, [seconds]) => sum + seconds, 0);
  };
  expect(heldS(bursts)).toBeGreaterThan(heldS([steady]) + 100);
});

test('bounds hold: the schedule raises, quota caps, each with its words', () => {
  expect(run([[400, { load: 1, minUnits: 12 }]]).at(-1)).toMatchObject({ units: 12 });
  const [first] = run([[5, { load: 9, maxUnits: 7 }]]);
  expect(first).toMatchObject({ units: 7, cause: 'bounds' });
  expect(first!.reason).toContain('7 is the most');
});

test('from zero the first request that waits or was refused wakes one unit', () => {
  const none = { first: 0, load: 0, minUnits: 0 };
  const decisions = run([
    [60, none],
    [5, { ...none, refused: 1 }],
  ]);
  expect(decisions.slice(0, -1).every((one) => one.units === 0)).toBe(true);
  expect(decisions.at(-1)).toMatchObject({ units: 1, cause: 'wake' });
});

test('prefill takes its own time and that of the steps it is in', () => {
  const step = { tau0Us: 20_000, tau1Us: 100, tau2Us: 0, tau3Us: 0, tau4Us: 0.1, tau5Us: 0.1 };
  // A step of 400 tokens: 20 + 40 ms, and 20 ms for 100,000 tokens of cache.
  expect(prefillStretch(step, 400, 0)).toBeCloseTo(60 / 40);
  expect(prefillStretch(step, 400, 100_000)).toBeCloseTo(80 / 40);
  expect(prefillStretch({ ...step, tau1Us: 0 }, 400, 0)).toBe(1);
});

test('latency above its target asks for more', () => {
  const facts = { load: 4, tpotMsMean: 90 };
  expect(run([[600, facts]], { tpotMsMax: 60 }).at(-1)!.units).toBeGreaterThan(run([[600, facts]]).at(-1)!.units);
});

test.each([
  ['square', (t: number) => (Math.floor(t / 600) % 2 === 0 ? 2 : 12)],
  ['saw', (t: number) => (t % 900) / 60],
  ['spike', (t: number) => (t % 1_200 < 30 ? 18 : 3)],
  ['noise', (t: number) => 8 + 3 * Math.sin(t * 12.9898) * Math.cos(t * 78.233)],
])('no oscillation under a %s load: direction changes at most as often as the load’s', (_name, load) => {
  const spans = Array.from({ length: 1_440 }, (_, i): [number, Facts] => [5, { load: load(i * 5) }]);
  const units = run(spans).map((one) => one.units);
  let turns = 0;
  let direction = 0;
  for (let i = 1; i < units.length; i++) {
    const step = Math.sign(units[i]! - units[i - 1]!);
    if (step !== 0 && direction !== 0 && step !== direction) turns++;
    if (step !== 0) direction = step;
  }
  // Two hours hold 12 half periods of the fastest of these.
  expect(turns).toBeLessThanOrEqual(14);
});
