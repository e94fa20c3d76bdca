import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { Profile, Tier } from '../../catalog/schema.ts';
import { SELF_CHECK } from '../../engine/llama/self-check.ts';
import { cellId, type Thoroughness } from '../../profile/cells.ts';
import { clockOf } from '../../profile/clock.ts';
import { profileHtml } from '../../profile/html.ts';
import { isMeasurable, type LoadTierDeps, measureTier } from '../../profile/load-tiers.ts';
import { probeOf } from '../../profile/probe.ts';
import { fitMeasured, type Measurement, measureEngine, profileOf } from '../../profile/profile.ts';
import type { Progress } from '../../profile/rounds.ts';
import { profileTable } from '../../profile/table.ts';
import { profiledTiers, ratedShape } from '../../profile/tiers.ts';
import type { RequestShape } from '../../sim/tier.ts';
import { seededRandom } from '../../workload/random.ts';
import type { ProfileFlags } from '../profile.ts';
import { bar, liveScreen } from '../screen.ts';
import { listFlag, numberFlag, openTarget } from './flags.ts';

const MINUTES: Record<Thoroughness, number> = { quick: 1, normal: 4, thorough: 10 };
const QUIET_MS = 10_000;

/** Measures, fits, finds the tiers, writes the files and prints the table. */
export async function runProfile(program: Command, flags: ProfileFlags): Promise<void> {
  if (flags.quick && flags.thorough) program.error('error: --quick or --thorough, not both', { exitCode: 2 });
  const how: Thoroughness = flags.quick ? 'quick' : flags.thorough ? 'thorough' : 'normal';
  const minutes = numberFlag(program, 'minutes', flags.minutes ?? String(MINUTES[how]), 0.1, 120);
  const coefficients = listFlag(program, 'coefficients', flags.coefficients, 1, 10);
  const seed = numberFlag(program, 'seed', flags.seed, 0, 2 ** 32 - 1);
  const { json } = program.opts<{ json?: boolean }>();
  const { target, template, config } = await openTarget(program, flags);
  const stop = stopOnInterrupt();
  try {
    const screen = json ? null : progressScreen(minutes * 60_000);
    const probe = probeOf(target.send, target.nowMs);
    const measured = await measureEngine({
      probe,
      limits: target.limits,
      how,
      budgetMs: minutes * 60_000,
      selfCheckUs: target.selfCheckUs && (() => target.selfCheckUs?.(target.nowMs) ?? Promise.resolve(null)),
      random: seededRandom(seed),
      nowMs: () => performance.now(),
      stop: stop.signal,
      onProgress: (progress) => screen?.(progress),
    });
    const fit = fitMeasured(measured.cells, how === 'quick' ? template?.profile : undefined);
    const simulated = profiledTiers(fit, target.limits, coefficients, seed);
    const loads = { probe, lengths: measured.lengths, clock: clockOf(target.nowMs), random: seededRandom(seed) };
    const tiers =
      how === 'thorough'
        ? await tiersByLoad({ ...loads, stop: stop.signal }, simulated, ratedShape(target.limits.contextTokens))
        : simulated;
    const templateId = template?.id ?? 'profile';
    const profile = profileOf(
      {
        templateId,
        measuredAt: new Date().toISOString(),
        on: target.on,
        limits: target.limits,
        selfCheck: measured.selfCheckUs === null ? null : { ...SELF_CHECK, us: Math.round(measured.selfCheckUs) },
        tiers,
      },
      fit,
      measured.cells,
    );
    const file =
      flags.out ?? (template === null ? 'cubit-profile.json' : join(config.dataDir, 'profiles', `${templateId}.json`));
    const charts = flags.html ?? `${file.replace(/\.json$/, '')}.html`;
    write(file, `${JSON.stringify(profile, null, 2)}\n`);
    write(charts, profileHtml(profile));
    if (json) console.log(JSON.stringify({ file, charts, endedBy: measured.endedBy, profile }, null, 2));
    else console.log(report(profile, measured, { file, charts }, target.lostShare?.() ?? 0));
  } finally {
    stop.dispose();
    await target.close();
  }
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

function report(
  profile: Profile,
  measured: Measurement,
  files: { file: string; charts: string },
  lostShare: number,
): string {
  const why: Record<Measurement['endedBy'], string> = {
    tight: 'every median is certain enough',
    repeats: 'the machine is too unsteady for more certainty',
    time: 'the time was up',
    stopped: 'stopped; what was measured until then is used',
  };
  const waited =
    lostShare < 0.01
      ? ''
      : `\nThe engine waited for a core ${(100 * lostShare).toFixed(0)} % of the time; that is not counted.`;
  return `\n${profileTable(profile)}\n\nMeasuring ended: ${why[measured.endedBy]}.${waited}\nProfile: ${files.file}\nCharts:  ${files.charts}`;
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

function progressScreen(budgetMs: number): (progress: Progress) => void {
  const screen = liveScreen(QUIET_MS);
  return ({ cell, cells, cellsDone, elapsedMs, repeats }) => {
    const share = Math.max(cellsDone / cells, Math.min(1, elapsedMs / budgetMs));
    const line = `${cellsDone}/${cells} cells, ${(elapsedMs / 1000).toFixed(0)} s of at most ${(budgetMs / 1000).toFixed(0)} s`;
    screen.draw([`${bar(share)} ${line}`, `  ${cellId(cell)}, ${repeats} ×`], line);
  };
}

/** The first Ctrl-C ends the measuring, and what is there is used; the second ends the program. */
export function stopOnInterrupt(): { readonly signal: AbortSignal; dispose(): void } {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
    console.error('Finishing this cell; Ctrl-C again to leave without a profile.');
  };
  process.on('SIGINT', interrupt);
  return { signal: controller.signal, dispose: () => process.off('SIGINT', interrupt) };
}
