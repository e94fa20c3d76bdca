/** Autoscalers on one trace: what attainment costs with each, every coefficient chosen in hindsight, Cubit's fixed too. */

export const ATTAINMENTS = [0.98, 0.99, 0.995] as const;

export interface ElasticRun {
  /** Units for `static`, else the coefficient. */
  readonly setting: number;
  readonly sloAttainment: number;
  readonly unitHours: number;
  readonly billedUnitHours: number;
  readonly scaleEventsPerHour: number;
}

export interface PolicyReport {
  readonly policy: string;
  /** Every run, by setting. */
  readonly runs: readonly ElasticRun[];
  /** Unit-hours at each of ATTAINMENTS, between runs that no other run beats; null: no run reached it. */
  readonly unitHours: readonly (number | null)[];
  /** Of the cheapest run at 99 %, else of the best one. */
  readonly best: ElasticRun;
}

export type PlayPolicy = (policy: string, setting: number, initialUnits: number) => ElasticRun;

/** Rising: a sweep ends at the first that reaches the highest attainment. */
const COEFFICIENTS: Readonly<Record<string, readonly number[]>> = {
  cubit: [0.8, 0.9, 1, 1.2, 1.6, 2.4, 3.4, 4.6],
  kpa: [1.15, 1.4, 1.8, 2.4, 3.4, 4.6],
  hpa: [1.15, 1.3, 1.5, 1.8, 2.4, 3.4, 4.6],
  dynamo: [1.3, 1.8, 2.4, 3.2],
  wva: [1.15, 1.4, 1.8, 2.4],
  oracle: [0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4.6],
};

/** Cubit's coefficient for those who choose none. */
export const FIXED_COEFFICIENT = 1;

/**
 * Runs all policies. Elastic ones begin with the best static size at 99 %, as a tenant would who turns elasticity on; the
 * clairvoyant one knows its own. `play` throws what a simulation throws.
 */
export function evaluateElasticity(
  play: PlayPolicy,
  policies: readonly string[],
  units: { readonly from: number; readonly max: number },
  progress: (text: string) => void,
): PolicyReport[] {
  const tell = (policy: string, setting: number, initial: number) => {
    const run = play(policy, setting, initial);
    progress(`${policy} ${setting}: ${(100 * run.sloAttainment).toFixed(2)} %, ${run.unitHours.toFixed(1)} unit-hours`);
    return run;
  };
  const statics = staticRuns((size) => tell('static', size, size), units.from, units.max);
  const initial = (statics.find(({ sloAttainment }) => sloAttainment >= 0.99) ?? statics.at(-1)!).setting;
  const swept = policies.map((policy) => {
    const runs: ElasticRun[] = [];
    for (const coefficient of COEFFICIENTS[policy] ?? []) {
      runs.push(tell(policy, coefficient, initial));
      const enough = runs.at(-1)!.sloAttainment >= ATTAINMENTS.at(-1)!;
      if (enough && (policy !== 'cubit' || coefficient >= FIXED_COEFFICIENT)) break;
    }
    return reportOf(policy, runs);
  });
  return [reportOf('static', statics), ...swept];
}

/** Sizes closer than this are alike. */
const SIZE_STEP = 0.02;

/** The sizes on either side of each attainment, by bisection from `unitsFrom` on; attainment is taken to rise with units. */
function staticRuns(play: (units: number) => ElasticRun, unitsFrom: number, unitsMax: number): ElasticRun[] {
  const runs = new Map<number, ElasticRun>();
  const reaches = (units: number, attainment: number) => {
    const run = runs.get(units) ?? play(units);
    runs.set(units, run);
    return run.sloAttainment >= attainment;
  };
  for (const attainment of ATTAINMENTS) {
    const bySize = [...runs.values()].toSorted((a, b) => a.setting - b.setting);
    let enough = bySize.find((run) => run.sloAttainment >= attainment)?.setting;
    let tooFew = bySize.findLast(({ setting }) => setting < (enough ?? Number.POSITIVE_INFINITY))?.setting ?? 0;
    while (enough === undefined) {
      const next = Math.min(unitsMax, Math.max(unitsFrom, Math.ceil(1.5 * tooFew)));
      if (reaches(next, attainment)) enough = next;
      else if (next === unitsMax) return [...runs.values()].toSorted((a, b) => a.setting - b.setting);
      else tooFew = next;
    }
    while (enough - tooFew > Math.max(1, SIZE_STEP * enough)) {
      const middle: number = Math.floor((enough + tooFew) / 2);
      if (reaches(middle, attainment)) enough = middle;
      else tooFew = middle;
    }
  }
  return [...runs.values()].toSorted((a, b) => a.setting - b.setting);
}

function reportOf(policy: string, runs: readonly ElasticRun[]): PolicyReport {
  const front = paretoOf(runs);
  return {
    policy,
    runs,
    unitHours: ATTAINMENTS.map((attainment) => hoursAt(front, attainment)),
    best: front.find(({ sloAttainment }) => sloAttainment >= 0.99) ?? front.at(-1)!,
  };
}

/** Runs that no other beats in both attainment and unit-hours, by attainment. */
export function paretoOf(runs: readonly ElasticRun[]): ElasticRun[] {
  const front: ElasticRun[] = [];
  for (const run of runs.toSorted((a, b) => b.sloAttainment - a.sloAttainment || a.unitHours - b.unitHours)) {
    if (front.length === 0 || run.unitHours < front.at(-1)!.unitHours) front.push(run);
  }
  return front.reverse();
}

/** Between two runs on a line; below the first what the first costs: nothing cheaper was seen. null above the last. */
function hoursAt(front: readonly ElasticRun[], attainment: number): number | null {
  const after = front.findIndex((run) => run.sloAttainment >= attainment);
  if (after === -1) return null;
  const [low, high] = [front[after - 1], front[after]!];
  if (low === undefined) return high.unitHours;
  const share = (attainment - low.sloAttainment) / (high.sloAttainment - low.sloAttainment);
  return low.unitHours + share * (high.unitHours - low.unitHours);
}
