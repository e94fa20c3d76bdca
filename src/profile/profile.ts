import type { Profile, SelfCheck, Tier } from '../catalog/schema.ts';
import { CubitError } from '../core/errors.ts';
import { fitStepModel, predictUs, type StepFit, type StepParameters } from '../core/serving/fit.ts';
import { median } from '../core/statistics.ts';
import { cellsFor, type Limits, type Thoroughness } from './cells.ts';
import { type Lengths, learnLengths, type Probe } from './probe.ts';
import { type Measured, type MeasuredCell, measureRounds, medianMs, type Progress } from './rounds.ts';
import { CellRunner, type Sample } from './run-cell.ts';
import { ratedShape } from './tiers.ts';

export interface MeasureOptions {
  readonly probe: Probe;
  readonly limits: Limits;
  readonly how: Thoroughness;
  readonly budgetMs: number;
  /** Times the start-up check, where the engine is ours; µs. */
  readonly selfCheckUs: (() => Promise<number | null>) | null;
  readonly random: () => number;
  readonly nowMs: () => number;
  readonly stop: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export interface Measurement extends Measured {
  readonly selfCheckUs: number | null;
  readonly lengths: Lengths;
}

const HALF_WIDTH_MAX: Record<Thoroughness, number> = { quick: 0.25, normal: 0.03, thorough: 0.02 };
const REPEATS: Record<Thoroughness, readonly [min: number, max: number]> = {
  quick: [1, 2],
  normal: [2, 8],
  thorough: [3, 12],
};
/** Self-checks are spread over the measuring: so they see the machine as the cells did. */
const SELF_CHECKS = 8;

/** Measures an engine. Throws `engine_failed` for one that cannot be measured (probe.ts says which). */
export async function measureEngine(options: MeasureOptions): Promise<Measurement> {
  const { budgetMs, how, limits, nowMs, probe, random, selfCheckUs, stop } = options;
  const startedAtMs = nowMs();
  const lengths = await learnLengths(probe, random);
  const runner = new CellRunner({ probe, lengths, limits, how, random });
  const checks: number[] = [];
  const check = async () => {
    const us = (await selfCheckUs?.()) ?? null;
    if (us !== null) checks.push(us);
  };
  const [repeatsMin, repeatsMax] = REPEATS[how];
  await check();
  const measured = await measureRounds({
    cells: cellsFor(limits, how),
    run: async (cell) => {
      const samples = await runner.run(cell);
      if (nowMs() - startedAtMs > (checks.length * budgetMs) / SELF_CHECKS) await check();
      return samples;
    },
    nowMs,
    random,
    budgetMs: budgetMs - (nowMs() - startedAtMs),
    halfWidthMax: HALF_WIDTH_MAX[how],
    repeatsMin,
    repeatsMax,
    stop,
    onProgress: options.onProgress,
  });
  return { ...measured, lengths, selfCheckUs: checks.length === 0 ? null : median(checks) };
}

/** Cells of a kind without which the step model has no answer. */
const FIRST_CELLS_MIN = 2;
/** So little that it decides only what the measurement leaves open. */
const PRIOR_ROWS = 0.01;

/**
 * Fits the step model to what was measured; `prior` steadies it where that is coarse. Throws `engine_failed` where it is
 * too little.
 */
export function fitMeasured(cells: readonly MeasuredCell[], prior?: StepParameters): StepFit {
  const lengths = cells.filter(({ cell }) => cell.kind === 'first').length;
  const decodes = cells.filter(({ samples }) => samples.some(({ metric }) => metric === 'itl')).length;
  if (lengths < FIRST_CELLS_MIN || decodes === 0) {
    throw new CubitError(
      'engine_failed',
      `Too little was measured for a profile: ${cells.length} cells, ${lengths} prompt lengths. Let it run longer.`,
    );
  }
  const observations = cells.flatMap(({ samples }) => samples.map(({ observation }) => observation));
  return fitStepModel(observations, prior === undefined ? {} : { prior: { ...prior, rows: PRIOR_ROWS } });
}

export interface ProfileParts {
  readonly templateId: string;
  readonly measuredAt: string;
  readonly on: string;
  readonly limits: Limits;
  readonly selfCheck: SelfCheck | null;
  readonly tiers: readonly Tier[];
}

/** The profile file's content. */
export function profileOf(parts: ProfileParts, fit: StepFit, cells: readonly MeasuredCell[]): Profile {
  const { limits, measuredAt, on, selfCheck, templateId, tiers } = parts;
  const { tau0Us, tau1Us, tau2Us, tau3Us, tau4Us, tau5Us } = fit.step;
  return {
    templateId,
    measuredAt,
    on,
    prefillFixedUs: digits(fit.prefillFixedUs),
    step: {
      tau0Us: digits(tau0Us),
      tau1Us: digits(tau1Us),
      tau2Us: digits(tau2Us),
      tau3Us: digits(tau3Us),
      tau4Us: digits(tau4Us),
      tau5Us: digits(tau5Us),
    },
    prefillTokensMax: limits.prefillTokensMax,
    selfCheck,
    fit: {
      observations: cells.reduce((sum, { samples }) => sum + samples.length, 0),
      medianErrorPct: percent(fit.medianErrorPct),
      meanErrorPct: percent(fit.meanErrorPct),
      crossValidatedMedianErrorPct: fit.crossValidated && percent(fit.crossValidated.medianErrorPct),
      crossValidatedMeanErrorPct: fit.crossValidated && percent(fit.crossValidated.meanErrorPct),
    },
    ratedAt: ratedShape(limits.contextTokens),
    tiers: [...tiers],
    cells: cells.map((cell) => ({
      cell: cell.cell,
      repeats: repeatsOf(cell),
      ttftMs: rounded(medianMs(cell.samples, 'ttft')),
      itlMs: rounded(medianMs(cell.samples, 'itl')),
      fittedTtftMs: rounded(fittedMs(fit, cell.samples, 'ttft')),
      fittedItlMs: rounded(fittedMs(fit, cell.samples, 'itl')),
    })),
  };
}

function repeatsOf({ samples }: MeasuredCell): number {
  const counts = (['ttft', 'itl'] as const).map((metric) => samples.filter((one) => one.metric === metric).length);
  return Math.max(...counts);
}

function fittedMs(fit: StepFit, samples: readonly Sample[], metric: Sample['metric']): number | null {
  const values = samples
    .filter((sample) => sample.metric === metric)
    .map(({ observation }) => predictUs(fit, observation) / 1000);
  return values.length === 0 ? null : median(values);
}

const digits = (value: number) => Number(value.toPrecision(4));
const percent = (value: number) => Number(value.toFixed(1));
const rounded = (value: number | null) => (value === null ? null : Number(value.toPrecision(4)));
