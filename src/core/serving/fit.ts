import { mean, median } from '../statistics.ts';
import { nonNegativeLeastSquares } from './nnls.ts';
import type { StepModel } from './work.ts';

/**
 * The step model from observations. Every observation is a time that the model makes of seven parts, linear in the
 * unknowns:
 *
 *     t = p0·requests + τ0·steps + τ1·P + τ2·A + τ3·B + τ4·K + τ5·Kmixed
 *
 * summed over the steps that the time spans. What identifies what: first tokens of cold prompts of several lengths give
 * p0, τ1, τ2; warm prefixes separate attention from the token's own work; the time between tokens over batches and
 * contexts gives τ0, τ3, τ4; a prompt that arrives among running ones gives τ5.
 */
export interface StepObservation {
  /** Observations of one experiment share it: they are left out together when the fit is validated. */
  readonly cell: string;
  /** First chunks of a prompt in the span. */
  readonly requests: number;
  readonly steps: number;
  /** Sums over the steps: P, A, B, K (as in the step model), and K of the steps that prefill too. */
  readonly prefillTokens: number;
  readonly attendedPairs: number;
  readonly decodeTokens: number;
  readonly contextTokens: number;
  readonly mixedContextTokens: number;
  /** Measured. */
  readonly us: number;
}

export interface StepParameters {
  readonly prefillFixedUs: number;
  readonly step: StepModel;
}

export interface StepFit extends StepParameters {
  /** Relative error |predicted − measured| ÷ measured over all observations, percent. */
  readonly medianErrorPct: number;
  readonly meanErrorPct: number;
  /** The same for observations of cells that the fit had not seen. null with fewer than two cells. */
  readonly crossValidated: { readonly medianErrorPct: number; readonly meanErrorPct: number } | null;
}

export interface FitOptions {
  /** Cells are dealt into this many folds. */
  readonly folds?: number;
  /** What is believed before: each of its figures counts as `rows` observations. For scarce measurements. */
  readonly prior?: StepParameters & { readonly rows: number };
}

const FOLDS = 5;
const REWEIGHTINGS = 12;
/** Huber's constant: 95 % as efficient as least squares where errors are normal. */
const HUBER = 1.345;
/** Residuals below this are as good as exact: no robust scale is taken from less. */
const SCALE_MIN = 1e-6;

/**
 * Fits by non-negative least squares on the relative error, reweighted after Huber so that the few observations that a
 * busy machine spoilt do not steer it. Throws where an observation is not a positive, finite time or there are none.
 */
export function fitStepModel(observations: readonly StepObservation[], options: FitOptions = {}): StepFit {
  if (observations.length === 0) throw new Error('a step model cannot be fitted to no observations');
  if (observations.some(({ us }) => !(us > 0) || !Number.isFinite(us))) {
    throw new Error('an observed time has to be positive and finite');
  }
  const fitted = robustFit(observations, options.prior);
  const errors = observations.map((one) => relativeErrorPct(fitted, one));
  return {
    ...fitted,
    medianErrorPct: median(errors),
    meanErrorPct: mean(errors),
    crossValidated: crossValidate(observations, options),
  };
}

/** What the model says an observation takes, in µs. */
export function predictUs({ prefillFixedUs, step }: StepParameters, observation: StepObservation): number {
  return dot(features(observation), vector({ prefillFixedUs, step }));
}

function robustFit(observations: readonly StepObservation[], prior: FitOptions['prior']): StepParameters {
  const relative = observations.map((one) => features(one).map((value) => value / one.us));
  const believed = prior === undefined ? [] : priorRows(prior);
  const weights = new Array<number>(relative.length).fill(1);
  let x: number[] = [];
  for (let round = 0; round < REWEIGHTINGS; round += 1) {
    const rows = relative.map((row, at) => row.map((value) => value * Math.sqrt(weights[at]!)));
    x = nonNegativeLeastSquares(
      [...rows, ...believed.map(({ row }) => row)],
      [...weights.map(Math.sqrt), ...believed.map(({ right }) => right)],
    );
    const residuals = relative.map((row) => Math.abs(dot(row, x) - 1));
    const scale = Math.max(1.4826 * median(residuals), SCALE_MIN);
    residuals.forEach((residual, at) => {
      weights[at] = residual <= HUBER * scale ? 1 : (HUBER * scale) / residual;
    });
  }
  return parameters(x);
}

/** θ ÷ believed θ = 1, once for each figure that is believed to be above 0. */
function priorRows(prior: NonNullable<FitOptions['prior']>): { row: number[]; right: number }[] {
  const weight = Math.sqrt(prior.rows);
  return vector(prior).flatMap((value, column, all) => {
    if (value <= 0) return [];
    return [{ row: all.map((_, at) => (at === column ? weight / value : 0)), right: weight }];
  });
}

function crossValidate(observations: readonly StepObservation[], options: FitOptions): StepFit['crossValidated'] {
  const cells = [...new Set(observations.map(({ cell }) => cell))].sort();
  const folds = Math.min(options.folds ?? FOLDS, cells.length);
  if (folds < 2) return null;
  const foldOf = new Map(cells.map((cell, index) => [cell, index % folds]));
  const errors: number[] = [];
  for (let fold = 0; fold < folds; fold += 1) {
    const seen = observations.filter(({ cell }) => foldOf.get(cell) !== fold);
    const fitted = robustFit(seen, options.prior);
    for (const one of observations) if (foldOf.get(one.cell) === fold) errors.push(relativeErrorPct(fitted, one));
  }
  return { medianErrorPct: median(errors), meanErrorPct: mean(errors) };
}

function relativeErrorPct(fitted: StepParameters, observation: StepObservation): number {
  return (100 * Math.abs(predictUs(fitted, observation) - observation.us)) / observation.us;
}

function features(one: StepObservation): number[] {
  return [
    one.requests,
    one.steps,
    one.prefillTokens,
    one.attendedPairs,
    one.decodeTokens,
    one.contextTokens,
    one.mixedContextTokens,
  ];
}

function vector({ prefillFixedUs, step }: StepParameters): number[] {
  return [prefillFixedUs, step.tau0Us, step.tau1Us, step.tau2Us, step.tau3Us, step.tau4Us, step.tau5Us];
}

function parameters(x: readonly number[]): StepParameters {
  const [prefillFixedUs = 0, tau0Us = 0, tau1Us = 0, tau2Us = 0, tau3Us = 0, tau4Us = 0, tau5Us = 0] = x;
  return { prefillFixedUs, step: { tau0Us, tau1Us, tau2Us, tau3Us, tau4Us, tau5Us } };
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0);
}
