import { expect, test } from 'vitest';
import { memoryCounters } from '../../counters/memory.ts';
import { SCENARIOS, simulateSharing } from './simulate.ts';

test.each(SCENARIOS)(
  'three gateways on one endpoint, $name: all of the capacity, no more, and keys alike',
  async (scenario) => {
    const clock = { nowMs: 1_000_000 };
    const counters = memoryCounters(() => clock.nowMs);
    const figures = await simulateSharing({ scenario, counters, clock, seconds: 200, seed: 3 });
    expect(Math.abs(figures.admittedShare - 1)).toBeLessThan(0.02);
    expect(figures.keyDeviationMax).toBeLessThan(0.05);
    expect(figures.overshootUs).toBe(0);
  },
);
