import { describe, expect, it } from 'vitest';
import { Profile } from '../catalog/schema.ts';
import { predictUs } from '../core/serving/fit.ts';
import { ratedRequestsPerS } from '../sim/tier.ts';
import { seededRandom } from '../workload/random.ts';
import { cellId, cellsFor, type Limits, type Thoroughness } from './cells.ts';
import { engineConfig } from './engine-config.ts';
import { LIMITS, ModelEngine, TRUTH } from './fixture.ts';
import { profileHtml } from './html.ts';
import { isMeasurable, measureTier } from './load-tiers.ts';
import { probeOf } from './probe.ts';
import { fitMeasured, type Measurement, measureEngine, profileOf } from './profile.ts';
import { profileTable } from './table.ts';
import { profiledTiers, ratedShape } from './tiers.ts';

async function measured(
  engine: ModelEngine,
  options: { how?: Thoroughness; limits?: Limits; budgetMs?: number; stop?: AbortSignal; onProgress?: () => void } = {},
): Promise<Measurement> {
  const nowMs = () => engine.nowMs;
  return measureEngine({
    probe: probeOf(engine.send, nowMs),
    limits: options.limits ?? LIMITS,
    how: options.how ?? 'normal',
    budgetMs: options.budgetMs ?? 1e9,
    selfCheckUs: async () => 400_000,
    random: seededRandom(7),
    nowMs,
    stop: options.stop ?? new AbortController().signal,
    onProgress: options.onProgress ?? (() => {}),
  });
}

describe('profiling an engine', () => {
  it('finds the step model of an engine that follows one', async () => {
    const { cells, endedBy, selfCheckUs } = await measured(new ModelEngine(TRUTH, LIMITS));
    expect([endedBy, selfCheckUs]).toEqual(['tight', 400_000]);
    const fit = fitMeasured(cells);
    for (const name of ['tau1Us', 'tau3Us', 'tau4Us'] as const) {
      expect(fit.step[name] / TRUTH.step[name]).toBeGreaterThan(0.97);
      expect(fit.step[name] / TRUTH.step[name]).toBeLessThan(1.03);
    }
    expect(fit.crossValidated!.medianErrorPct).toBeLessThan(2);
  });

  it('finds it on a noisy machine too', async () => {
    const engine = new ModelEngine(TRUTH, LIMITS);
    const random = seededRandom(3);
    engine.noise = () => (random() < 0.1 ? 2 : 0.95 + 0.1 * random());
    const fit = fitMeasured((await measured(engine)).cells);
    const { cells } = await measured(new ModelEngine(TRUTH, LIMITS));
    for (const { observation } of cells.flatMap(({ samples }) => samples)) {
      expect(predictUs(fit, observation) / observation.us).toBeGreaterThan(0.85);
      expect(predictUs(fit, observation) / observation.us).toBeLessThan(1.25);
    }
  });

  it('keeps what was measured when it is stopped', async () => {
    const stop = new AbortController();
    let cells = 0;
    const engine = new ModelEngine(TRUTH, LIMITS);
    const result = await measured(engine, {
      stop: stop.signal,
      onProgress: () => {
        cells += 1;
        if (cells === 6) stop.abort();
      },
    });
    expect([result.endedBy, result.cells.length]).toEqual(['stopped', 6]);
    expect(fitMeasured(result.cells).step.tau1Us).toBeGreaterThan(0);
  });

  it('stops at its time, and says so where that was too little for a profile', async () => {
    const { cells, endedBy } = await measured(new ModelEngine(TRUTH, LIMITS), { budgetMs: 3_500 });
    expect(endedBy).toBe('time');
    expect(() => fitMeasured(cells)).toThrow('Too little was measured');
  });

  it('measures nothing that the engine cannot hold', () => {
    for (const limits of [LIMITS, { ...LIMITS, sequences: 1 }, { ...LIMITS, contextTokens: 256, kvTokens: 300 }]) {
      for (const how of ['quick', 'normal', 'thorough'] as const) {
        const cells = cellsFor(limits, how);
        expect(cells.length).toBeGreaterThan(1);
        expect(new Set(cells.map(cellId)).size).toBe(cells.length);
        for (const cell of cells) {
          const batch = cell.kind === 'first' ? 1 : cell.batch + (cell.kind === 'mixed' ? 1 : 0);
          expect(batch).toBeLessThanOrEqual(limits.sequences);
          const longest = cell.kind === 'batch' ? cell.contextTokens : cell.promptTokens;
          expect(longest).toBeLessThan(limits.contextTokens);
        }
      }
    }
  });
});

describe('the profile file', () => {
  it('is what the catalogue takes, prints as a table and draws as a page that needs nothing else', async () => {
    const { cells } = await measured(new ModelEngine(TRUTH, LIMITS), { how: 'quick' });
    const fit = fitMeasured(cells);
    const profile = profileOf(
      {
        templateId: 'smollm2-135m-local',
        measuredAt: '2026-11-24T16:00:00.000Z',
        on: 'a <test> & more',
        limits: LIMITS,
        selfCheck: { promptTokens: 12, outputTokens: 6, us: 400_000 },
        tiers: profiledTiers(fit, LIMITS, [1, 2], 1),
      },
      fit,
      cells,
    );
    expect(Profile.parse(JSON.parse(JSON.stringify(profile)))).toEqual(profile);
    expect(profileTable(profile)).toContain('simulated');
    const html = profileHtml(profile);
    expect(html).toContain('a &#60;test&#62; &#38; more');
    expect(html).not.toMatch(/<script|https?:|NaN|undefined|Infinity/);
    expect(html.match(/<svg/g)).toHaveLength(5);
  });
});

describe('simulated tiers', () => {
  const tiers = profiledTiers(TRUTH, LIMITS, [1, 1.2, 1.5, 2], 1);

  it('are rated at 10 : 1, at lengths that fit', () => {
    expect(ratedShape(2_048)).toEqual({ promptTokens: 930, outputTokens: 93 });
    expect(ratedShape(32_768)).toEqual({ promptTokens: 2_000, outputTokens: 200 });
    expect(ratedShape(16)).toEqual({ promptTokens: 10, outputTokens: 1 });
  });

  it('have batches by the rule: the largest ÷ k', () => {
    expect(tiers.map(({ batch }) => batch)).toEqual([8, 7, 5, 4]);
  });

  it('rate what the work of a request says a unit carries', () => {
    // 930 in, 93 out at a batch of 8, from the formulas of DESIGN §3 by hand.
    const { prefillFixedUs: p0, step } = TRUTH;
    const prefill = p0 + step.tau1Us * 930 + (step.tau2Us * 930 ** 2) / 2;
    const decode = (step.tau0Us / 8 + step.tau3Us) * 93 + step.tau4Us * (930 * 93 + 93 ** 2 / 2);
    expect(tiers[0]!.ratedTokensPerS! / (1e6 * (1_023 / (prefill + decode)))).toBeGreaterThan(0.9);
    expect(tiers[0]!.ratedTokensPerS! / (1e6 * (1_023 / (prefill + decode)))).toBeLessThan(1.1);
  });

  it('are faster with more redundancy', () => {
    for (const [before, after] of [tiers.slice(0, 2), tiers.slice(1, 3), tiers.slice(2, 4)]) {
      expect(after!.tpotMs!.p50).toBeLessThan(before!.tpotMs!.p50);
      expect(after!.ttftMs!.p95).toBeLessThan(before!.ttftMs!.p95);
    }
  });
});

describe('tiers by load', () => {
  const shape = { promptTokens: 100, outputTokens: 10 };
  const deps = (engine: ModelEngine, stop = new AbortController()) => ({
    probe: probeOf(engine.send, engine.clock.nowMs),
    lengths: { fixedTokens: 0, tokensPerWord: 1 },
    clock: engine.clock,
    random: seededRandom(5),
    stop: stop.signal,
  });
  const [tier] = profiledTiers(TRUTH, LIMITS, [2], 1);

  it('are what the engine does under that load', async () => {
    const measuredTier = await measureTier(deps(new ModelEngine(TRUTH, LIMITS)), tier!, shape, 300_000);
    expect(measuredTier).toMatchObject({ coefficient: 2, batch: 4, found: 'measured' });
    expect(
      measuredTier!.ratedTokensPerS! / (110 * ratedRequestsPerS(engineConfig(TRUTH, LIMITS, 4), shape)),
    ).toBeCloseTo(1, 1);
    // Alone it would take 20 + 2 × 3 + 100 × 12 ms and a little: half the load adds some waiting.
    expect(measuredTier!.ttftMs!.p50).toBeGreaterThan(1_220);
    expect(measuredTier!.ttftMs!.p95).toBeLessThan(12_000);
  });

  it('need enough requests in the time', () => {
    expect(isMeasurable({ ...tier!, ratedTokensPerS: 1_000 }, shape, 60_000)).toBe(true);
    expect(isMeasurable({ ...tier!, ratedTokensPerS: 20 }, shape, 60_000)).toBe(false);
    expect(isMeasurable({ ...tier!, ratedTokensPerS: null }, shape, 60_000)).toBe(false);
  });

  it('end when they are stopped', async () => {
    const stop = new AbortController();
    stop.abort();
    expect(await measureTier(deps(new ModelEngine(TRUTH, LIMITS), stop), tier!, shape, 300_000)).toBeNull();
  });
});
