import { writeFileSync } from 'node:fs';
import { CubitError } from '../../core/errors.ts';
import type { SimulationRun } from '../../sim/cluster/simulate.ts';
import type { ClusterConfig } from '../../sim/cluster/types.ts';
import type { SimulateFlags } from './flags.ts';
import { reportHtml } from './html.ts';
import { Player, sloOf } from './play.ts';
import { coefficientOf } from './policies.ts';
import { searchCoefficient, searchUnits } from './search.ts';
import { tableOf } from './text.ts';
import { chooseTrace } from './trace.ts';
import { chooseUnit } from './unit.ts';

/** Units that a search or an elastic run may use unless --max says less. */
const UNITS_MAX = 500;

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
  const { coefficient, run, units } = chosenRun(flags, new Player(flags, trace, unit, max), max);
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
  const cost = costOf(flags, units, run);
  const wallMs = Math.round(performance.now() - startedMs);
  if (flags.html !== undefined) writeFileSync(flags.html, reportHtml(setting, run, cost));
  console.log(
    json
      ? JSON.stringify({ ...run.result, ...(cost === null ? {} : { cost }), setting, wallMs }, null, 2)
      : tableOf(setting, run, wallMs, cost),
  );
}

export interface Cost {
  readonly base: number;
  readonly added: number;
}

interface Found {
  readonly run: SimulationRun;
  readonly units: number;
  readonly coefficient: number;
}

function chosenRun(flags: SimulateFlags, player: Player, max: number): Found {
  const { coefficient, min, scaler, target } = flags;
  const given = coefficientOf(flags);
  const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r${text}\x1b[K`);
  const play = (units: number, k: number): Found => ({ run: player.play(scaler, units, k), units, coefficient: k });
  const start = flags.units ?? Math.max(1, min ?? 1);
  let found: Found;
  if (scaler === 'static' && flags.units === undefined) {
    found = searchUnits(max, target, (units) => play(units, given), progress);
  } else if (scaler !== 'static' && (coefficient === 'auto' || (scaler === 'oracle' && coefficient === undefined))) {
    const first = flags.units ?? (scaler === 'oracle' ? player.oracleStart() : start);
    found = searchCoefficient(target, (k) => play(first, k), progress);
  } else {
    found = play(start, given);
  }
  progress('');
  return found;
}

/** What is billed, in the price's currency: base units all the time, added ones while they are ready. */
function costOf({ min, pricePerHour, scaler }: SimulateFlags, units: number, { result }: SimulationRun): Cost | null {
  if (pricePerHour === undefined) return null;
  const baseUnits = scaler === 'static' ? units : (min ?? 1);
  const base = (pricePerHour * baseUnits * result.endS) / 3600;
  return { base, added: Math.max(0, pricePerHour * result.billedUnitHours - base) };
}
