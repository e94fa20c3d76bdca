import fc from 'fast-check';
import { expect, test } from 'vitest';
import { exchangeLease, type LeaseReport, noSharedCapacity } from '../core/serving/shared-capacity.ts';
import type { Counters } from './port.ts';

/** What every implementation keeps. `make` gives fresh counters on the clock that is passed. */
export function countersSuite(name: string, make: (nowMs: () => number) => Promise<Counters>): void {
  let models = 0;
  const fresh = () => `sm-${name}-${++models}`;

  test(`${name}: level and grants together never pass the capacity; what is not used goes back`, async () => {
    let now = 1_000_000;
    const counters = await make(() => now);
    const id = fresh();
    const ask = async (gatewayId: string, own: Partial<LeaseReport>) => {
      const [lease] = await counters.exchange([{ servedModelId: id, report: reportOf({ gatewayId, ...own }) }]);
      return lease!;
    };
    const a = await ask('a', { wantUs: 200_000 });
    expect(a).toMatchObject({ levelUs: 0, gateways: 1 });
    expect(a.grantUs).toBeGreaterThanOrEqual(200_000);
    const b = await ask('b', { wantUs: 200_000 });
    expect(a.grantUs + b.grantUs).toBeLessThanOrEqual(5_000_000);
    expect(b.gateways).toBe(2);
    // a spends half and wants no more; the other half is b's.
    const after = await ask('a', { spentUs: 100_000, wantUs: 0 });
    expect(after.levelUs).toBe(100_000);
    now += 50;
    expect((await ask('b', { wantUs: 0 })).levelUs).toBe(50_000);
    // Said twice it counts once.
    expect((await ask('a', { spentUs: 100_000 })).levelUs).toBe(50_000);
    await counters.close();
  });

  test(`${name}: a gateway that is gone holds nothing after 3 s; a coordinator that forgot learns the level again`, async () => {
    let now = 5_000_000;
    const counters = await make(() => now);
    const id = fresh();
    const ask = async (gatewayId: string, own: Partial<LeaseReport>) =>
      (await counters.exchange([{ servedModelId: id, report: reportOf({ gatewayId, ...own }) }]))[0]!;
    expect((await ask('a', { levelUs: 3_000_000, sequences: { used: 4, want: 4 } })).levelUs).toBe(3_000_000);
    expect((await ask('b', { sequences: { used: 0, want: 8 } })).sequences).toBeLessThanOrEqual(4);
    now += 3_001;
    expect(await ask('b', { sequences: { used: 0, want: 8 } })).toMatchObject({
      sequences: 8,
      gateways: 1,
      levelUs: 0,
    });
    await counters.close();
  });

  test(`${name}: gives what core/serving/shared-capacity.ts gives, whatever is reported`, async () => {
    let now = 9_000_000;
    const counters = await make(() => now);
    const held = fc.record({ used: fc.nat(6), want: fc.nat(20) });
    const step = fc.record({
      gatewayId: fc.constantFrom('a', 'b', 'c'),
      afterMs: fc.nat(1_500),
      spentUs: fc.nat(900_000),
      unreportedUs: fc.nat(900_000),
      wantUs: fc.nat(2_000_000),
      nextUs: fc.nat(6_000_000),
      keys: fc.dictionary(fc.constantFrom('k1', 'k2', 'k3'), fc.nat(1_000)),
      keyWeights: fc.dictionary(fc.constantFrom('k1', 'k2'), fc.integer({ min: 1, max: 9 })),
      sequences: held,
      kvTokens: held,
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const id = fresh();
        const state = noSharedCapacity(now);
        const spent = new Map<string, number>();
        for (const { afterMs, ...own } of steps) {
          now += afterMs;
          const spentUs = (spent.get(own.gatewayId) ?? 0) + own.spentUs;
          spent.set(own.gatewayId, spentUs);
          const report = reportOf({ ...own, spentUs });
          const [lease] = await counters.exchange([{ servedModelId: id, report }]);
          const { gateways: _, ...got } = lease!;
          expect(got).toEqual(exchangeLease(state, report, now));
        }
      }),
      { numRuns: 60 },
    );
    await counters.close();
  });
}

function reportOf(own: Partial<LeaseReport>): LeaseReport {
  return {
    gatewayId: 'a',
    spentUs: 0,
    unreportedUs: 0,
    wantUs: 0,
    nextUs: 0,
    levelUs: 0,
    keys: {},
    keyWeights: {},
    sequences: { used: 0, want: 0 },
    kvTokens: { used: 0, want: 0 },
    units: 1,
    capacityUs: 5_000_000,
    sequencesMax: 8,
    kvTokensMax: 16,
    ...own,
  };
}
