import { type CacheNeed, FutureNeed } from '../../sim/baselines/oracle.ts';
import { type SimulationRun, simulateCluster } from '../../sim/cluster/simulate.ts';
import type { ClusterConfig, UnitConfig } from '../../sim/cluster/types.ts';
import { ratesOf } from '../../sim/cluster/unit.ts';
import type { ScalerName, SimulateFlags } from './flags.ts';
import { gateOf, routeOf, scalerOf } from './policies.ts';
import type { ChosenTrace } from './trace.ts';
import type { ChosenUnit } from './unit.ts';

const SCALE_EVERY_MS = 5_000;
/** A clairvoyant schedule begins with what the first minutes will need. */
const ORACLE_START_MS = 300_000;

/** One trace on one kind of unit, again and again with other scalers. */
export class Player {
  readonly #flags: SimulateFlags;
  readonly #trace: ChosenTrace;
  readonly #unit: ChosenUnit;
  readonly #max: number;
  #need: FutureNeed | null = null;

  constructor(flags: SimulateFlags, trace: ChosenTrace, unit: ChosenUnit, max: number) {
    this.#flags = flags;
    this.#trace = trace;
    this.#unit = unit;
    this.#max = max;
  }

  /** `units`: at the beginning; with `static` throughout. */
  play(scaler: ScalerName, units: number, coefficient: number): SimulationRun {
    const { config } = this.#unit;
    const policies = {
      gate: gateOf(this.#flags, config),
      route: routeOf(this.#flags, config),
      scaler: scalerOf(scaler, coefficient, units, scaler === 'oracle' ? this.#future() : null),
    };
    return simulateCluster(this.#clusterOf(scaler === 'static', units), policies, this.#trace.open());
  }

  /** Units that the first minutes' work fills. */
  oracleStart(): number {
    return Math.min(this.#max, Math.max(1, this.#flags.min ?? 1, Math.ceil(this.#future().maxIn(0, ORACLE_START_MS))));
  }

  #future(): FutureNeed {
    const { config } = this.#unit;
    this.#need ??= new FutureNeed(this.#trace.open(), ratesOf(config).coefficients, cacheNeedOf(config));
    return this.#need;
  }

  #clusterOf(fixed: boolean, units: number): ClusterConfig {
    const flags = this.#flags;
    return {
      unit: this.#unit.config,
      slo: sloOf(flags),
      initialUnits: units,
      minUnits: fixed ? units : (flags.min ?? 1),
      maxUnits: fixed ? units : this.#max,
      startupMs: flags.startupS === undefined ? this.#unit.startupMs : 1000 * flags.startupS,
      startupCv: flags.startupCv,
      failureMsMean: flags.failureHours === undefined ? null : 3_600_000 * flags.failureHours,
      waitMsMax: 1000 * flags.maxWaitS,
      scaleEveryMs: SCALE_EVERY_MS,
      warmUpMs: 1000 * flags.warmupS,
      seed: flags.seed,
    };
  }
}

function cacheNeedOf(unit: UnitConfig): CacheNeed {
  const { kvTokens, step } = unit.kind === 'unified' ? unit.engine : unit.decode;
  return { kvTokens: ratesOf(unit).kvTokens, tpotMs: (step.tau0Us + (step.tau4Us * kvTokens) / 2) / 1000 };
}

export function sloOf({ tpotMs, ttftFactor, ttftMs }: SimulateFlags): ClusterConfig['slo'] {
  return { ttftMs, ttftPrefillFactor: ttftFactor, tpotMs };
}
