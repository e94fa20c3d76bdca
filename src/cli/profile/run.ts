import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { Profile } from '../../catalog/schema.ts';
import { mergedByRank } from '../../core/serving/lora.ts';
import type { Thoroughness } from '../../profile/cells.ts';
import { profileHtml } from '../../profile/html.ts';
import type { Measurement } from '../../profile/profile.ts';
import { profileTable } from '../../profile/table.ts';
import type { ProfileFlags } from '../profile.ts';
import { checkedAdapters, costLine, costsOf, keptProfile, type MeasuredAdapter } from './adapters.ts';
import { listFlag, numberFlag, openTarget } from './flags.ts';
import { measureUnit, type Settings } from './unit.ts';

const MINUTES: Record<Thoroughness, number> = { quick: 1, normal: 4, thorough: 10 };

/** Measures the unit, or what adapters cost on it, or both; writes the files and prints the table. */
export async function runProfile(program: Command, flags: ProfileFlags): Promise<void> {
  const settings = settingsOf(program, flags);
  const { json } = program.opts<{ json?: boolean }>();
  const opened = await openTarget(program, flags);
  const { target, template, config } = opened;
  const stop = stopOnInterrupt();
  try {
    const name = template?.id ?? 'profile';
    const file =
      flags.out ?? (template === null ? 'cubit-profile.json' : join(config.dataDir, 'profiles', `${name}.json`));
    const adapters = await checkedAdapters(flags.adapter, opened);
    const kept = keptProfile(file, name);
    const run = { ...settings, stop: stop.signal, quiet: json === true };
    const unit = kept !== null && adapters.length > 0 ? null : await measureUnit(opened, run);
    const found = unit?.profile ?? kept!;
    // So that an adapter that fails does not take the unit's figures with it.
    if (unit !== null) write(file, textOf(withLora(found, kept?.lora)));
    const costs = await costsOf(adapters, opened, found, run);
    const lora = mergedByRank(
      kept?.lora ?? [],
      costs.map(({ decode, prefill, rank }) => ({ rank, prefill, decode })),
    );
    const profile = withLora(found, lora);
    const charts = flags.html ?? `${file.replace(/\.json$/, '')}.html`;
    write(file, textOf(profile));
    write(charts, profileHtml(profile));
    const endedBy = unit?.measured.endedBy ?? null;
    if (json) console.log(JSON.stringify({ file, charts, endedBy, adapters: costs, profile }, null, 2));
    else console.log(report(profile, endedBy, costs, { file, charts }, target.lostShare?.() ?? 0));
  } finally {
    stop.dispose();
    await target.close();
  }
}

function settingsOf(program: Command, flags: ProfileFlags): Settings {
  if (flags.quick && flags.thorough) program.error('error: --quick or --thorough, not both', { exitCode: 2 });
  if (flags.adapter.length > 0 && flags.endpoint !== undefined) {
    program.error('error: an adapter is measured on a unit itself: give --template instead of --endpoint', {
      exitCode: 2,
    });
  }
  const how: Thoroughness = flags.quick ? 'quick' : flags.thorough ? 'thorough' : 'normal';
  return {
    how,
    budgetMs: 60_000 * numberFlag(program, 'minutes', flags.minutes ?? String(MINUTES[how]), 0.1, 120),
    coefficients: listFlag(program, 'coefficients', flags.coefficients, 1, 10),
    seed: numberFlag(program, 'seed', flags.seed, 0, 2 ** 32 - 1),
  };
}

function report(
  profile: Profile,
  endedBy: Measurement['endedBy'] | null,
  costs: readonly MeasuredAdapter[],
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
      : `The engine waited for a core ${(100 * lostShare).toFixed(0)} % of the time; that is not counted.\n`;
  const unit = endedBy === null ? '' : `${profileTable(profile)}\n\nMeasuring ended: ${why[endedBy]}.\n`;
  return `\n${unit}${costs.map(costLine).join('')}${waited}Profile: ${files.file}\nCharts:  ${files.charts}`;
}

/** Without a list of adapters where there is none: the schema wants one entry at least. */
function withLora(profile: Profile, lora: Profile['lora'] = []): Profile {
  return lora.length === 0 ? profile : { ...profile, lora };
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

const textOf = (profile: Profile) => `${JSON.stringify(profile, null, 2)}\n`;

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
