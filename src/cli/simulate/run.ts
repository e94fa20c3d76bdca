import { writeFileSync } from 'node:fs';
import { CubitError } from '../../core/errors.ts';
import { FutureNeed } from '../../sim/baselines/oracle.ts';
import { type SimulationRun, simulateCluster } from '../../sim/cluster/simulate.ts';
import type { ClusterConfig } from '../../sim/cluster/types.ts';
import { ratesOf } from '../../sim/cluster/unit.ts';
import type { SimulateFlags } from './flags.ts';
import { reportHtml } from './html.ts';
import { coefficientOf, gateOf, routeOf, scalerOf } from './policies.ts';
import { searchCoefficient, searchUnits } from './search.ts';
import { tableOf } from './text.ts';
import { type ChosenTrace, chooseTrace } from './trace.ts';
import { type ChosenUnit, chooseUnit } from './unit.ts';

/** Units that a search or an elastic run may use unless --max says less. */
const UNITS_MAX = 500;
const SCALE_EVERY_MS = 5_000;

/** What a run was, beside what came out. */
export interface Setting {
  readonly trace: string;
  readonly format: string;
  readonly unit: string;
  readonly routing: string;
  readonly admission: string;
  readonly scaler: string;
  readonly coefficient: number | null;
  readonly units: number;
  readonly seed: number;
  readonly slo: ClusterConfig['slo'];
}

/** Plays the trace; with `static` and no --units, and with `oracle` and no --coefficient, finds the cheapest that reaches --target. */
export async function runSimulate(
  fail: (message: string) => never,
  flags: SimulateFlags,
  json: boolean,
): Promise<void> {
  const startedMs = performance.now();
  const trace = chooseTrace(flags);
  const unit = await chooseUnit(flags, trace.blockTokens);
  const { max = UNITS_MAX, min } = flags;
  if ((min ?? 0) > max) fail(`--min ${min} is more than --max ${max}`);
  if ((flags.units ?? 1) > max) fail(`--units ${flags.units} is more than --max ${max}`);
  const { coefficient, run, units } = chosenRun(flags, trace, unit, max);
  if (run.result.requests === 0) {
    throw new CubitError('invalid_request', `${flags.trace} has no request in the time that was asked for.`);
  }
  const setting: Setting = {
    trace: flags.trace,
    format: trace.format,
    unit: unit.name,
    routing: flags.routing,
    admission: flags.admission,
    scaler: flags.scaler,
    coefficient: flags.scaler === 'static' ? null : coefficient,
    units,
    seed: flags.seed,
    slo: sloOf(flags),
  };
  const wallMs = Math.round(performance.now() - startedMs);
  if (flags.html !== undefined) writeFileSync(flags.html, reportHtml(setting, run));
  console.log(json ? JSON.stringify({ ...run.result, setting, wallMs }, null, 2) : tableOf(setting, run, wallMs));
}

interface Found {
  readonly run: SimulationRun;
  readonly units: number;
  readonly coefficient: number;
}

function chosenRun(flags: SimulateFlags, trace: ChosenTrace, unit: ChosenUnit, max: number): Found {
  const { scaler, target } = flags;
  const given = coefficientOf(flags);
  const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r${text}\x1b[K`);
  const need = scaler === 'oracle' ? new FutureNeed(trace.open(), ratesOf(unit.config).coefficients) : null;
  const play = (units: number, coefficient: number): Found => {
    const config = clusterOf(flags, unit, units, max);
    const policies = {
      gate: gateOf(flags, unit.config),
      route: routeOf(flags, unit.config),
      scaler: scalerOf(scaler, coefficient, units, need),
    };
    return { run: simulateCluster(config, policies, trace.open()), units, coefficient };
  };
  let found: Found;
  if (scaler === 'static' && flags.units === undefined) {
    found = searchUnits(max, target, (units) => play(units, given), progress);
  } else if (scaler === 'oracle' && flags.coefficient === undefined) {
    const start = flags.units ?? Math.max(1, flags.min ?? 1, Math.ceil(need!.maxIn(0, 300_000)));
    found = searchCoefficient(target, (coefficient) => play(Math.min(max, start), coefficient), progress);
  } else {
    found = play(flags.units ?? Math.max(1, flags.min ?? 1), given);
  }
  progress('');
  return found;
}

function clusterOf(flags: SimulateFlags, unit: ChosenUnit, units: number, max: number): ClusterConfig {
  const fixed = flags.scaler === 'static';
  return {
    unit: unit.config,
    slo: sloOf(flags),
    initialUnits: units,
    minUnits: fixed ? units : (flags.min ?? 1),
    maxUnits: fixed ? units : max,
    startupMs: flags.startupS === undefined ? unit.startupMs : 1000 * flags.startupS,
    startupCv: flags.startupCv,
    failureMsMean: flags.failureHours === undefined ? null : 3_600_000 * flags.failureHours,
    waitMsMax: 1000 * flags.maxWaitS,
    scaleEveryMs: SCALE_EVERY_MS,
    warmUpMs: 1000 * flags.warmupS,
    seed: flags.seed,
  };
}

function sloOf({ tpotMs, ttftFactor, ttftMs }: SimulateFlags): ClusterConfig['slo'] {
  return { ttftMs, ttftPrefillFactor: ttftFactor, tpotMs };
}
