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

test('where there is plenty, leases are rare and hold nobody up', async () => {
  const clock = { nowMs: 1_000_000 };
  const counters = memoryCounters(() => clock.nowMs);
  const light = await simulateSharing({ scenario: SCENARIOS[0]!, counters, clock, seconds: 200, seed: 3, load: 0.05 });
  expect(light.requests).toBeGreaterThan(100);
  expect(light.exchangesPerSecond).toBeLessThan(4);
  expect(light.overshootUs).toBe(0);
});
