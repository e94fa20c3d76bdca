import { describe, expect, it } from 'vitest';
import type { Scaler, ScalingObservation } from '../../core/serving/scaling/observation.ts';
import type { Job } from '../cluster/job.ts';
import type { Machine } from '../cluster/machine.ts';
import { FlatTokenBucket, InFlightTokens } from './gates.ts';
import { FutureNeed, OracleScaler } from './oracle.ts';
import { LeastLoaded, RoundRobin, SessionAffinity } from './routes.ts';
import { DynamoPlanner, Hpa, Kpa, WvaSaturation } from './scalers.ts';

/** `ready` units, each occupied as far. */
function observed(ready: number, occupancy: number, more: Partial<ScalingObservation> = {}): ScalingObservation {
  const units = Array.from({ length: ready }, (_, index) => ({
    unitId: `u${index}`,
    state: 'ready' as const,
    sinceMs: 0,
    running: 10,
    batchShare: occupancy,
    kvShare: 0,
    prefillShare: 0,
  }));
  return {
    windowMs: 5_000,
    units,
    startingUnits: 0,
    readyUnits: ready,
    drainingUnits: 0,
    queued: 0,
    queuedWorkUs: 0,
    arrivals: 0,
    arrivedWorkUs: 0,
    refused: 0,
    completed: 0,
    ttftMsMean: null,
    tpotMsMean: null,
    startupMs: 60_000,
    minUnits: 1,
    maxUnits: 100,
    ...more,
  };
}

/** What it wants after `seconds` of the same, and when it began to want that. */
function wantedAfter(scaler: Scaler, seconds: number, observation: ScalingObservation, fromS = 0): number {
  let desired = 0;
  for (let atS = fromS; atS <= fromS + seconds; atS += 5) desired = scaler.decide(observation, atS * 1000).desiredUnits;
  return desired;
}

const job = (kvTokens: number, outputTokens = kvTokens / 2): Job =>
  ({ estimate: { kvTokens }, promptTokens: kvTokens / 2, outputTokens }) as Job;

describe('flat limits', () => {
  it('a bucket of tokens fills at its rate, and what was not used comes back', () => {
    const gate = new FlatTokenBucket(100, 10);
    gate.setReadyUnits(1, 0);
    expect(gate.fits(job(1_000), 0)).toBe(true);
    gate.enter(job(1_000), 0);
    expect(gate.fits(job(100), 0)).toBe(false);
    expect(gate.wakeMs(job(100), 0)).toBe(1_000);
    expect(gate.fits(job(100), 1_000)).toBe(true);
    gate.leave(job(1_000, 100), 1_000);
    expect(gate.fits(job(500), 1_000)).toBe(true);
    // Larger than the bucket: when it is empty.
    expect(gate.fits(job(5_000), 1_000)).toBe(false);
    expect(gate.fits(job(5_000), 60_000)).toBe(true);
  });

  it('a cap counts what is inside', () => {
    const gate = new InFlightTokens(1_000);
    gate.setReadyUnits(2);
    gate.enter(job(1_500));
    expect([gate.fits(job(500)), gate.fits(job(501))]).toEqual([true, false]);
    gate.leave(job(1_500));
    expect(gate.fits(job(9_999))).toBe(true);
  });
});

describe('other routes', () => {
  const machines = [3, 1, 2].map((running, place) => ({ running, place }) as Machine);
  it('in turn, to the least, or by the session', () => {
    const turn = new RoundRobin();
    expect([1, 2, 3, 4].map(() => turn.pick(machines).machine.place)).toEqual([0, 1, 2, 0]);
    expect(new LeastLoaded().pick(machines).machine.place).toBe(1);
    const session = new SessionAffinity();
    const of = (blocks: number[], among = machines) =>
      session.pick(among, { id: 0, request: { atMs: 0, promptTokens: 1, outputTokens: 1, blocks } } as unknown as Job)
        .machine.place;
    const places = Array.from({ length: 300 }, (_, block) => of([0, block, 7]));
    expect(new Set(places).size).toBe(3);
    // Who stays when one goes: rendezvous hashing moves only that one's sessions.
    const without = machines.slice(0, 2);
    for (const [block, place] of places.entries()) if (place !== 2) expect(of([0, block, 7], without)).toBe(place);
  });
});

describe('other scalers', () => {
  it('Knative: panic at twice the capacity, no way down until 180 s after, then by the stable mean', () => {
    const kpa = new Kpa(2);
    expect(wantedAfter(kpa, 60, observed(4, 0.5))).toBe(4);
    expect(wantedAfter(kpa, 60, observed(4, 1, { queued: 40 }), 65)).toBeGreaterThanOrEqual(12);
    const high = wantedAfter(kpa, 5, observed(16, 0.05), 130);
    expect(wantedAfter(kpa, 120, observed(16, 0.05), 140)).toBe(high);
    expect(wantedAfter(kpa, 400, observed(16, 0.05), 265)).toBe(2);
  });

  it('HPA: 10 % tolerance, at most doubled at once, 300 s before it shrinks', () => {
    const hpa = new Hpa(2);
    expect(wantedAfter(hpa, 0, observed(8, 0.54))).toBe(8);
    expect(wantedAfter(hpa, 0, observed(8, 1, { queued: 1_000 }), 15)).toBe(16);
    const late = new Hpa(2);
    wantedAfter(late, 600, observed(10, 0.5));
    expect(wantedAfter(late, 290, observed(10, 0.1), 605)).toBe(10);
    expect(wantedAfter(late, 60, observed(10, 0.1), 900)).toBe(2);
  });

  it('Dynamo: one at a time by load, never under the floor of the last interval', () => {
    const planner = new DynamoPlanner(1);
    expect(wantedAfter(planner, 0, observed(4, 1, { queued: 100 }))).toBe(5);
    const busy = observed(4, 0.1, { arrivedWorkUs: 5 * 5e6 });
    expect(wantedAfter(planner, 200, busy, 5)).toBe(5);
  });

  it('WVA: one more while little is spare, one less while the rest would have enough', () => {
    expect(wantedAfter(new WvaSaturation(1.25), 0, observed(4, 0.79))).toBe(5);
    expect(wantedAfter(new WvaSaturation(1.25), 0, observed(4, 0.55))).toBe(4);
    expect(wantedAfter(new WvaSaturation(1.25), 0, observed(4, 0.3))).toBe(3);
    expect(wantedAfter(new WvaSaturation(1.25), 0, observed(4, 0.9, { startingUnits: 1 }))).toBe(5);
  });

  it('the clairvoyant one starts units so that they are ready when the work comes', () => {
    const coefficients = { p0Us: 0, p1Us: 1_000, p2Us: 0, d1Us: 0, d2Us: 0 };
    const rows = Array.from({ length: 100 }, (_, index) => ({
      atMs: 300_000 + 1_000 * index,
      promptTokens: 4_000,
      outputTokens: 1,
    }));
    const oracle = new OracleScaler(new FutureNeed(rows, coefficients), 1);
    const at = (nowMs: number) => oracle.decide(observed(1, 0, { startupMs: 60_000 }), nowMs).desiredUnits;
    expect([at(100_000), at(200_000), at(350_000), at(600_000)]).toEqual([0, 4, 4, 0]);
  });

  it('counts the cache that long answers hold, for as long as they decode', () => {
    const free = { p0Us: 0, p1Us: 0, p2Us: 0, d1Us: 0, d2Us: 0 };
    const rows = Array.from({ length: 10 }, () => ({ atMs: 300_000, promptTokens: 500, outputTokens: 1_000 }));
    const need = new FutureNeed(rows, free, { kvTokens: 2_000, tpotMs: 100 });
    // 10 × (500 + 1,000 ÷ 2) tokens for 100 s.
    expect(need.maxIn(340_000, 360_000)).toBeCloseTo(5);
    expect(need.maxIn(0, 280_000)).toBe(0);
    expect(need.maxIn(420_000, 500_000)).toBe(0);
  });
});
