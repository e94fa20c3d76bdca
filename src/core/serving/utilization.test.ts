import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Utilization } from './utilization.ts';

const LIMITS = { highShare: 0.8, sustainMs: 60_000 };

/** Lets in `share` of what `units` supply, every second, for so many seconds. */
function run(utilization: Utilization, fromS: number, seconds: number, share: number, units = 2): number {
  let seen = 0;
  for (let s = fromS; s < fromS + seconds; s += 1) {
    utilization.add(share * units * 1e6, units, s * 1_000);
    seen = utilization.observe(units, s * 1_000);
  }
  return seen;
}

describe('utilization', () => {
  it('counts what other gateways use: a third here and half elsewhere is too much', () => {
    const utilization = new Utilization(LIMITS, 0);
    utilization.usedElsewhere(0.5);
    expect(run(utilization, 0, 400, 1 / 3)).toBeCloseTo(1 / 3, 1);
    expect(utilization.latest).toBeCloseTo(5 / 6, 1);
    expect(utilization.isHigh).toBe(true);
    utilization.usedElsewhere(0);
    run(utilization, 400, 100, 1 / 3);
    expect(utilization.isHigh).toBe(false);
  });

  it('is the share of what the units supply, and fades when nothing comes', () => {
    const utilization = new Utilization(LIMITS, 0);
    expect(run(utilization, 0, 300, 0.5)).toBeCloseTo(0.5, 1);
    expect(utilization.observe(2, 600_000)).toBeLessThan(0.01);
  });

  it('counts what was given back no more', () => {
    const utilization = new Utilization(LIMITS, 0);
    utilization.add(10e6, 1, 0);
    utilization.add(-10e6, 1, 0);
    expect(utilization.observe(1, 0)).toBe(0);
  });

  it('begins an episode once it stays high, and ends it once it stays low', () => {
    const utilization = new Utilization(LIMITS, 0);
    run(utilization, 0, 60, 1);
    expect(utilization.isHigh).toBe(false);
    run(utilization, 60, 120, 1);
    expect([utilization.isHigh, utilization.episodes]).toEqual([true, 1]);
    // About the line, neither clearly high nor low: the same episode.
    run(utilization, 180, 300, 0.78);
    expect([utilization.isHigh, utilization.episodes]).toEqual([true, 1]);
    run(utilization, 480, 300, 0.2);
    expect(utilization.isHigh).toBe(false);
    run(utilization, 780, 300, 1);
    expect(utilization.episodes).toBe(2);
  });

  it('does not warn of a burst that passes', () => {
    const utilization = new Utilization(LIMITS, 0);
    run(utilization, 0, 40, 1.5);
    run(utilization, 40, 300, 0.1);
    expect(utilization.episodes).toBe(0);
  });

  it('without units is nothing, and no time makes it negative', () => {
    const event = fc.record({ us: fc.integer({ min: -1e9, max: 1e9 }), units: fc.nat(3), ms: fc.nat(100_000) });
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const utilization = new Utilization(LIMITS, 0);
        for (const { us, units, ms } of events) {
          utilization.add(us, units, ms);
          const share = utilization.observe(units, ms);
          expect(share).toBeGreaterThanOrEqual(0);
          if (units === 0) expect(share).toBe(0);
        }
      }),
    );
  });
});
