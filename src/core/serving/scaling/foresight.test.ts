import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Scaling } from '../scaling.ts';
import { BUCKET_MS, BUCKETS } from './forecast.ts';
import { ForesightScaling } from './foresight.ts';
import type { ScalingObservation } from './observation.ts';

const DAY_MS = 86_400_000;
const STARTUP_MS = 300_000;
/** A tick a minute is enough for what is tested here. */
const TICK_MS = 60_000;

function seenOf(load: number, have: number, windowMs = TICK_MS): ScalingObservation {
  const share = have === 0 ? 0 : Math.min(1, load / have);
  const units = Array.from({ length: have }, (_, i) => ({
    unitId: `u${i}`,
    state: 'ready' as const,
    sinceMs: 0,
    running: Math.round(share * 8),
    batchShare: share,
    kvShare: 0,
    prefillShare: 0,
  }));
  const counts = { queued: 0, queuedWorkUs: 0, arrivals: 0, arrivedWorkUs: 0, refused: 0, completed: 0 };
  const bounds = { startupMs: STARTUP_MS, minUnits: 1, maxUnits: 100, ttftMsMean: null, tpotMsMean: null };
  return { windowMs, units, startingUnits: 0, readyUnits: have, drainingUnits: 0, ...counts, ...bounds };
}

/** Two steps up and down a day, the same every day. */
const daily = (atMs: number) => (atMs % DAY_MS >= 9 * 3_600_000 && atMs % DAY_MS < 18 * 3_600_000 ? 20 : 4);

/** Plays load on units that come a start-up time after they are wanted; unit-minutes that were missing, and those there. */
function play(scaler: ForesightScaling | Scaling, days: number, loadAt: (atMs: number) => number) {
  let missing = 0;
  let unitMinutes = 0;
  let ready = 30;
  const starting: number[] = [];
  const causes = new Set<string>();
  for (let atMs = 0; atMs < days * DAY_MS; atMs += TICK_MS) {
    while (starting[0] !== undefined && starting[0] <= atMs) {
      starting.shift();
      ready += 1;
    }
    const load = loadAt(atMs);
    const seen = { ...seenOf(Math.min(load, ready), ready), startingUnits: starting.length };
    const { cause, desiredUnits } = scaler.decide(seen, atMs);
    causes.add(cause);
    for (let have = ready + starting.length; have < desiredUnits; have += 1) starting.push(atMs + STARTUP_MS);
    while (ready + starting.length > desiredUnits && starting.length > 0) starting.pop();
    ready = Math.min(ready, Math.max(1, desiredUnits - starting.length));
    if (atMs >= 7 * DAY_MS) {
      missing += Math.max(0, load - ready);
      unitMinutes += ready + starting.length;
    }
  }
  return { missing, unitMinutes, causes };
}

describe('the forecast', () => {
  it('has units ready for a rise that comes every day, from the second week on', () => {
    const plain = play(new Scaling({ coefficient: 1 }), 14, daily);
    const foresight = play(new ForesightScaling({ coefficient: 1, zone: 'UTC' }), 14, daily);
    expect(foresight.causes).toContain('forecast');
    expect(foresight.missing).toBeLessThan(0.7 * plain.missing);
    expect(foresight.unitMinutes).toBeLessThan(1.05 * plain.unitMinutes);
  });

  it('remembers over a restart, by the zone’s clock', () => {
    const first = new ForesightScaling({ coefficient: 1, zone: 'Europe/Berlin' });
    play(first, 8, daily);
    const again = new ForesightScaling({ coefficient: 1, zone: 'Europe/Berlin' }, first.forecast.profile());
    expect(again.forecast.profile()).toEqual(first.forecast.profile());
    expect(first.forecast.profile().load.filter((load) => load < 0)).toHaveLength(0);
    expect(first.forecast.version).toBeGreaterThanOrEqual(BUCKETS);
  });

  it('has no say where last week tells nothing of this one', () => {
    let state = 1;
    const noise = new Map<number, number>();
    const random = (atMs: number) => {
      const bucket = Math.floor(atMs / BUCKET_MS);
      state = noise.has(bucket) ? state : (state * 48_271) % 2_147_483_647;
      const load = noise.get(bucket) ?? 2 + (20 * state) / 2_147_483_647;
      noise.set(bucket, load);
      return load;
    };
    expect(play(new ForesightScaling({ coefficient: 1, zone: 'UTC' }), 14, random).causes).not.toContain('forecast');
  });

  it('never wants less than the decision without it, nor more than the bounds, whatever was remembered', () => {
    const loads = fc.array(fc.double({ min: 0, max: 30, noNaN: true }), { minLength: 1, maxLength: 300 });
    const remembered = fc.array(fc.oneof(fc.double(), fc.constant(-1)), { minLength: BUCKETS - 1, maxLength: BUCKETS });
    fc.assert(
      fc.property(loads, remembered, (series, load) => {
        const plain = new Scaling({ coefficient: 1 });
        const foresight = new ForesightScaling({ coefficient: 1, zone: 'Asia/Shanghai' }, { load });
        for (const [i, value] of series.entries()) {
          const seen = { ...seenOf(value, 10), maxUnits: 40 };
          const wanted = foresight.decide(seen, i * TICK_MS);
          expect(wanted.desiredUnits).toBeGreaterThanOrEqual(plain.decide(seen, i * TICK_MS).desiredUnits);
          expect(wanted.desiredUnits).toBeLessThanOrEqual(40);
        }
      }),
      { numRuns: 30 },
    );
  });
});
