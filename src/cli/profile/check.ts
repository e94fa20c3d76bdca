import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { Profile, type SelfCheck } from '../../catalog/schema.ts';
import { CubitError } from '../../core/errors.ts';
import type { StepParameters } from '../../core/serving/fit.ts';
import { median } from '../../core/statistics.ts';
import { timeScaleOf } from '../../engine/llama/self-check.ts';
import { errorsPct, type LoadCheck, measureLoad, mixedLoad, predictLoad } from '../../profile/check.ts';
import { clockOf } from '../../profile/clock.ts';
import { scaledParameters } from '../../profile/engine-config.ts';
import { learnLengths, probeOf } from '../../profile/probe.ts';
import { parseAzureTrace } from '../../workload/azure.ts';
import { seededRandom } from '../../workload/random.ts';
import type { ProfileFlags } from '../profile.ts';
import { grid } from '../render.ts';
import { listFlag, numberFlag, type Opened, openTarget } from './flags.ts';
import type { Target } from './target.ts';

const SAMPLE = new URL('../../workload/samples/azure-code-2023.csv', import.meta.url);
/** What a profile has to reach. */
const ERROR_PCT_MAX = 15;
const SELF_CHECKS = 3;

export interface CheckFlags extends ProfileFlags {
  readonly loads: string;
  readonly seconds: string;
  readonly profile?: string;
  readonly ownTime?: boolean;
}

/** Predicts each load, then sends it, and prints both. Exit code 1 when TPOT or E2E is further off than it may be. */
export async function runCheck(program: Command, flags: CheckFlags): Promise<void> {
  const loads = listFlag(program, 'loads', flags.loads, 0.01, 2);
  const spanMs = numberFlag(program, 'seconds', flags.seconds, 5, 3600) * 1000;
  const random = seededRandom(numberFlag(program, 'seed', flags.seed, 0, 2 ** 32 - 1));
  const { json } = program.opts<{ json?: boolean }>();
  const opened = await openTarget(program, flags);
  const { target } = opened;
  try {
    const profile = profileToCheck(flags, opened);
    const trace = parseAzureTrace(readFileSync(SAMPLE, 'utf8')).requests;
    const nowMs = flags.ownTime ? target.nowMs : () => performance.now();
    const probe = probeOf(target.send, nowMs);
    const lengths = await learnLengths(probe, random);
    const checks: (LoadCheck & { readonly timeScale: number })[] = [];
    for (const load of loads) {
      const timeScale = await timeScaleNow(target, profile.selfCheck, nowMs);
      const parameters = scaledParameters(profile, timeScale);
      const requests = mixedLoad(trace, parameters, target.limits, { load, spanMs, random });
      if (requests.length === 0) {
        throw new CubitError('invalid_request', `A load of ${load} in ${spanMs / 1000} s is no request: give more.`);
      }
      const predicted = predictLoad(parameters, target.limits, requests);
      if (!json) console.log(`load ${load}: ${requests.length} requests, times × ${timeScale.toFixed(2)}`);
      const measured = await measureLoad({ probe, lengths, clock: clockOf(nowMs), random }, requests);
      const errorPct = errorsPct(predicted, measured);
      checks.push({ load, requests: requests.length, timeScale, predicted, measured, errorPct });
    }
    console.log(json ? JSON.stringify({ on: target.on, checks }, null, 2) : tableOf(checks));
    const within = ({ errorPct }: LoadCheck) =>
      Math.abs(errorPct.tpotMs) <= ERROR_PCT_MAX && Math.abs(errorPct.e2eMs) <= ERROR_PCT_MAX;
    if (!checks.every(within)) process.exitCode = 1;
  } finally {
    await target.close();
  }
}

function profileToCheck(
  { profile: file }: CheckFlags,
  { template }: Opened,
): StepParameters & { selfCheck: SelfCheck | null } {
  if (file !== undefined) return readProfile(file);
  if (template === null) throw new CubitError('invalid_request', 'Say which profile: --profile FILE, or --template.');
  return { ...template.profile, selfCheck: template.profile.selfCheck ?? null };
}

function readProfile(file: string): Profile {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CubitError('invalid_request', `${file} cannot be read as JSON: ${(error as Error).message}.`);
  }
  const parsed = Profile.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new CubitError('invalid_request', `${file} is no profile: ${issue?.path.join('.')} ${issue?.message}.`);
}

/** How much slower the machine is now than when it was profiled; 1 where nothing says. */
async function timeScaleNow(target: Target, profiled: SelfCheck | null, nowMs: () => number): Promise<number> {
  if (target.selfCheckUs === null || profiled === null) return 1;
  const measured: number[] = [];
  for (let repeat = 0; repeat < SELF_CHECKS; repeat += 1) {
    const us = await target.selfCheckUs(nowMs);
    if (us !== null) measured.push(us);
  }
  return measured.length === 0 ? 1 : timeScaleOf(median(measured) / 1000, profiled);
}

function tableOf(checks: readonly LoadCheck[]): string {
  const ms = (value: number) => value.toFixed(0);
  const percent = (value: number) => `${value >= 0 ? '+' : ''}${value.toFixed(1)} %`;
  const rows = checks.flatMap(({ errorPct, load, measured, predicted, requests }) =>
    (['tpotMs', 'e2eMs', 'ttftMs'] as const).map((name, index) => [
      index === 0 ? String(load) : '',
      index === 0 ? String(requests) : '',
      { tpotMs: 'TPOT', e2eMs: 'E2E', ttftMs: 'TTFT' }[name],
      ms(predicted[name]),
      ms(measured[name]),
      percent(errorPct[name]),
    ]),
  );
  return grid([['load', 'requests', 'mean ms', 'predicted', 'measured', 'error'], ...rows]);
}
