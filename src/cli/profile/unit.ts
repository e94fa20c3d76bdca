import type { Profile, Tier } from '../../catalog/schema.ts';
import { SELF_CHECK } from '../../engine/llama/self-check.ts';
import { cellId, type Thoroughness } from '../../profile/cells.ts';
import { clockOf } from '../../profile/clock.ts';
import { isMeasurable, type LoadTierDeps, measureTier } from '../../profile/load-tiers.ts';
import { probeOf } from '../../profile/probe.ts';
import { fitMeasured, type Measurement, measureEngine, profileOf } from '../../profile/profile.ts';
import type { Progress } from '../../profile/rounds.ts';
import { profiledTiers, ratedShape } from '../../profile/tiers.ts';
import type { RequestShape } from '../../sim/tier.ts';
import { seededRandom } from '../../workload/random.ts';
import { bar, liveScreen } from '../screen.ts';
import type { Opened } from './flags.ts';

export interface Settings {
  readonly how: Thoroughness;
  readonly budgetMs: number;
  readonly coefficients: readonly number[];
  readonly seed: number;
}

export interface Run extends Settings {
  readonly stop: AbortSignal;
  /** No progress on the screen. */
  readonly quiet: boolean;
}

export const QUIET_MS = 10_000;

/** Measures the unit, fits, finds the tiers. Throws `engine_failed`. */
export async function measureUnit(
  { target, template }: Opened,
  { budgetMs, coefficients, how, quiet, seed, stop }: Run,
): Promise<{ readonly profile: Profile; readonly measured: Measurement }> {
  const screen = quiet ? null : progressScreen(budgetMs);
  const probe = probeOf(target.send, target.nowMs);
  const measured = await measureEngine({
    probe,
    limits: target.limits,
    how,
    budgetMs,
    selfCheckUs: target.selfCheckUs && (() => target.selfCheckUs?.(target.nowMs) ?? Promise.resolve(null)),
    random: seededRandom(seed),
    nowMs: () => performance.now(),
    stop,
    onProgress: (progress) => screen?.(progress),
  });
  const fit = fitMeasured(measured.cells, how === 'quick' ? template?.profile : undefined);
  const simulated = profiledTiers(fit, target.limits, [...coefficients], seed);
  const loads = { probe, lengths: measured.lengths, clock: clockOf(target.nowMs), random: seededRandom(seed) };
  const tiers =
    how === 'thorough'
      ? await tiersByLoad({ ...loads, stop }, simulated, ratedShape(target.limits.contextTokens))
      : simulated;
  const parts = {
    templateId: template?.id ?? 'profile',
    measuredAt: new Date().toISOString(),
    on: target.on,
    limits: target.limits,
    selfCheck: measured.selfCheckUs === null ? null : { ...SELF_CHECK, us: Math.round(measured.selfCheckUs) },
    tiers,
  };
  return { measured, profile: profileOf(parts, fit, measured.cells) };
}

const TIER_MS = 60_000;

/** Tiers that a minute of load shows are measured; the others stay as they were simulated. */
async function tiersByLoad(deps: LoadTierDeps, tiers: readonly Tier[], shape: RequestShape): Promise<Tier[]> {
  const found: Tier[] = [];
  for (const tier of tiers) {
    const measurable = !deps.stop.aborted && isMeasurable(tier, shape, TIER_MS);
    found.push((measurable ? await measureTier(deps, tier, shape, TIER_MS) : null) ?? tier);
  }
  return found;
}

function progressScreen(budgetMs: number): (progress: Progress) => void {
  const screen = liveScreen(QUIET_MS);
  return ({ cell, cells, cellsDone, elapsedMs, repeats }) => {
    const share = Math.max(cellsDone / cells, Math.min(1, elapsedMs / budgetMs));
    const line = `${cellsDone}/${cells} cells, ${(elapsedMs / 1000).toFixed(0)} s of at most ${(budgetMs / 1000).toFixed(0)} s`;
    screen.draw([`${bar(share)} ${line}`, `  ${cellId(cell)}, ${repeats} ×`], line);
  };
}
