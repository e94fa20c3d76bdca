import { CubitError } from '../../core/errors.ts';
import { type ElasticRun, evaluateElasticity, type PolicyReport } from '../../evaluate/elasticity.ts';
import { SCALERS, type ScalerName, type SimulateFlags } from './flags.ts';
import { Player } from './play.ts';
import { chooseTrace } from './trace.ts';
import { chooseUnit } from './unit.ts';

/** Plays the trace with every policy and setting, telling of each run on stderr: a day takes minutes a run. */
export async function elasticityOf(
  flags: SimulateFlags & { readonly max: number; readonly policies: readonly ScalerName[] },
): Promise<PolicyReport[]> {
  if ((flags.min ?? 1) > flags.max) {
    throw new CubitError('invalid_request', `--min ${flags.min} is more than --max ${flags.max}.`);
  }
  const trace = chooseTrace(flags);
  const player = new Player(flags, trace, await chooseUnit(flags, trace.blockTokens), flags.max);
  const play = (policy: string, setting: number, initialUnits: number): ElasticRun => {
    const name = SCALERS.find((scaler) => scaler === policy)!;
    const units = name === 'static' ? setting : name === 'oracle' ? player.oracleStart() : initialUnits;
    const { result } = player.play(name, units, name === 'static' ? 1 : setting);
    if (result.requests === 0) {
      throw new CubitError('invalid_request', `${flags.trace} has no request in the time that was asked for.`);
    }
    const { billedUnitHours, endS, scaleEvents, sloAttainment, unitHours } = result;
    return { setting, sloAttainment, unitHours, billedUnitHours, scaleEventsPerHour: (3600 * scaleEvents) / endS };
  };
  return evaluateElasticity(play, flags.policies, { from: player.oracleStart(), max: flags.max }, (text) =>
    process.stderr.write(`${text}\n`),
  );
}
