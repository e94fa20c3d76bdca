import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Scaler } from '../../core/serving/scaling/observation.ts';
import type { TraceRequest } from '../../workload/trace.ts';
import { OpenGate } from '../baselines/gates.ts';
import { RoundRobin } from '../baselines/routes.ts';
import { StaticScaler } from '../baselines/static.ts';
import { ClusterChecker } from '../check.ts';
import { simulateEngineStepwise } from '../engine.ts';
import { Cluster } from './cluster.ts';
import { CONFIG, ENGINE, policiesOf, requestsAt } from './fixture.ts';
import { Meter } from './meter.ts';
import { simulateCluster } from './simulate.ts';
import type { ClusterConfig, UnitConfig } from './types.ts';

// Requests come at irrational times: rounding cannot decide who comes first.
const anyTrace = fc
  .array(
    fc.record({
      gapMs: fc.integer({ min: 0, max: 4_000 }).map((gap) => (gap * Math.SQRT2) / 7),
      promptTokens: fc.integer({ min: 1, max: 900 }),
      outputTokens: fc.integer({ min: 1, max: 120 }),
      blocks: fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 12 }),
    }),
    { minLength: 1, maxLength: 60 },
  )
  .map((rows): TraceRequest[] => {
    let atMs = 0.1;
    return rows.map(({ gapMs, ...row }) => {
      atMs += gapMs;
      return { ...row, atMs };
    });
  });

/** Goes up and down as the draw says, whatever it sees. */
function restless(wanted: readonly number[]): Scaler {
  let turn = 0;
  return {
    decide: () => {
      turn += 1;
      return { desiredUnits: wanted[turn % wanted.length] ?? 1, reason: 'as drawn' };
    },
  };
}

const DISAGGREGATED: UnitConfig = {
  kind: 'disaggregated',
  prefill: ENGINE,
  prefillMachines: 1,
  decode: ENGINE,
  decodeMachines: 2,
  transferFixedMs: 3,
  transferMsPerToken: 0.01,
};

describe('Cluster', () => {
  it('with one unit and an open door is the step-by-step engine, request by request', () => {
    fc.assert(
      fc.property(anyTrace, fc.boolean(), (trace, asyncScheduling) => {
        const engine = { ...ENGINE, asyncScheduling };
        const config: ClusterConfig = { ...CONFIG, unit: { kind: 'unified', engine }, initialUnits: 1 };
        const first = new Map<number, number>();
        const end = new Map<number, number>();
        const checker = new ClusterChecker();
        checker.firstToken = (id, atMs) => void first.set(id, atMs);
        checker.ended = (id, _outcome, atMs) => void end.set(id, atMs);
        const policies = { gate: new OpenGate(), route: new RoundRobin(), scaler: new StaticScaler(1) };
        new Cluster(config, policies, trace, new Meter(config), checker).run();
        const alone = simulateEngineStepwise(engine, trace);
        for (const [id, { e2eMs, ttftMs }] of alone.requests.entries()) {
          expect(first.get(id)).toBeCloseTo(trace[id]!.atMs + ttftMs, 6);
          expect(end.get(id)).toBeCloseTo(trace[id]!.atMs + e2eMs, 6);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('keeps every rule of the checker while units come, go and fail', () => {
    const anyConfig = fc.record({
      apart: fc.boolean(),
      failing: fc.boolean(),
      waitMsMax: fc.constantFrom(0, 500, 600_000),
      startupMs: fc.integer({ min: 0, max: 20_000 }),
      startupCv: fc.constantFrom(0, 0.5),
      seed: fc.nat(1_000),
      wanted: fc.array(fc.integer({ min: 0, max: 7 }), { minLength: 1, maxLength: 6 }),
    });
    fc.assert(
      fc.property(anyTrace, anyConfig, (trace, { apart, failing, wanted, ...rest }) => {
        const config: ClusterConfig = {
          ...CONFIG,
          ...rest,
          unit: apart ? DISAGGREGATED : CONFIG.unit,
          failureMsMean: failing ? 15_000 : null,
        };
        const { result } = simulateCluster(config, policiesOf(config, restless(wanted)), trace);
        expect(result.completed + result.rejected + result.failed).toBe(trace.length);
        expect(result.unitHours).toBeGreaterThanOrEqual(result.billedUnitHours);
        if (!failing) expect(result.failed).toBe(0);
        if (!failing && rest.waitMsMax === 600_000) expect(result.completed).toBe(trace.length);
      }),
      { numRuns: 80 },
    );
  });

  it('is the same for the same seed, to the last digit, and another for another', () => {
    const trace = requestsAt(Array.from({ length: 300 }, (_, index) => index * 97.3));
    const run = (seed: number) => {
      const config = { ...CONFIG, seed, startupCv: 0.5, failureMsMean: 20_000 };
      return JSON.stringify(simulateCluster(config, policiesOf(config, restless([1, 5, 2])), trace));
    };
    expect(run(7)).toBe(run(7));
    expect(run(7)).not.toBe(run(8));
  });

  it('bills while ready, counts from launch, and serves nobody before', () => {
    const config = { ...CONFIG, initialUnits: 1, minUnits: 1, startupMs: 60_000 };
    const trace = requestsAt([100, 200_000]);
    const { result, scaling } = simulateCluster(config, policiesOf(config, restless([1, 2])), trace);
    // Each time a start is cancelled: 5 s of a unit that was never ready.
    expect(result.billedUnitHours * 3600).toBeCloseTo(result.endS, 6);
    expect(result.unitHours * 3600).toBeGreaterThan(result.endS + 60);
    expect(scaling.length).toBe(result.scaleEvents);
  });

  it('takes a draining unit back before it starts another', () => {
    const config = { ...CONFIG, initialUnits: 2 };
    // Two long answers keep both units busy; the wish goes 2 → 1 → 2.
    const trace = requestsAt([10, 20], 100, 2_000);
    const { result } = simulateCluster(config, policiesOf(config, restless([2, 2, 1, 1])), trace);
    // Two units all the time: none was launched, and the 10 s of the drain are not billed.
    expect(result.unitHours * 3600).toBeCloseTo(2 * result.endS, 6);
    expect(result.unitHours * 3600 - result.billedUnitHours * 3600).toBeCloseTo(10, 6);
    expect(result.scaleEvents).toBeGreaterThan(1);
  });

  it('refuses what no unit can hold, and what waits too long', () => {
    const config = { ...CONFIG, initialUnits: 1, maxUnits: 1, waitMsMax: 1_000 };
    const huge = { atMs: 5, promptTokens: 9_000, outputTokens: 1 };
    const many = requestsAt(
      Array.from({ length: 400 }, (_, index) => 10 + index),
      400,
      400,
    );
    const { result } = simulateCluster(config, policiesOf(config, new StaticScaler(1)), [huge, ...many]);
    expect(result.refused).toBe(1);
    expect(result.expired).toBeGreaterThan(100);
    expect(result.completed).toBeGreaterThan(0);
  });

  it('hands over from prefill to decode machines: the transfer delays the second token, not the first', () => {
    const alone = (transferFixedMs: number) => {
      const config = { ...CONFIG, unit: { ...DISAGGREGATED, transferFixedMs } };
      return simulateCluster(config, policiesOf(config, new StaticScaler(2)), requestsAt([10])).result;
    };
    const [near, far] = [alone(0), alone(1_000)];
    expect(far.ttftMs!.mean).toBeCloseTo(near.ttftMs!.mean, 6);
    expect(far.e2eMs!.mean).toBeCloseTo(near.e2eMs!.mean + 1_000, 6);
  });

  it('says what is wrong with a unit', () => {
    const config: ClusterConfig = { ...CONFIG, unit: { kind: 'unified', engine: { ...ENGINE, kvTokens: 0 } } };
    expect(() => simulateCluster(config, policiesOf(CONFIG, new StaticScaler(1)), [])).toThrow(/kvTokens is 0/);
  });
});
