import { CubitError } from '../../errors.ts';
import type { UnitFacts } from '../unit/load.ts';
import type { LengthMix } from '../unit/mix.ts';
import { predictUnit, ratingOf, type UnitPrediction } from '../unit.ts';

export interface Targets {
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly percentile: 'p50' | 'p95';
}

export type Figure = 'ttft' | 'tpot';
export type Limit = 'work' | 'batch' | 'kv' | Figure;

/** A target that even one request alone on a unit does not reach. */
export interface Missed {
  readonly figure: Figure;
  readonly targetMs: number;
  readonly reachedMs: number;
  /** How much slower than the target, of 1. */
  readonly over: number;
}

/** How much one unit may be given at a tier. */
export type UnitShare =
  | { readonly requestsPerS: number; readonly byWorkPerS: number; readonly limit: Limit; readonly missed: readonly [] }
  | { readonly requestsPerS: null; readonly limit: Figure; readonly missed: readonly Missed[] };

export const UNITS_MAX = 1_000_000;
const ROUNDS = 24;

/**
 * The most requests per second that a unit may be given: its work used to 1/k at most (the elasticity coefficient k
 * holds k times the capacity that the load needs), and less where a target asks for it, found by bisection.
 */
export function unitShareOf(unit: UnitFacts, mix: LengthMix, coefficient: number, targets: Targets): UnitShare {
  const rating = ratingOf(unit, mix);
  const byWork = rating.requestsPerS / coefficient;
  const failing = (requestsPerS: number): Limit | null => {
    const prediction = predictUnit(unit, mix, requestsPerS);
    return prediction.saturated ? rating.limit : (missedOf(prediction, targets)[0]?.figure ?? null);
  };
  if (failing(byWork) === null) return { requestsPerS: byWork, byWorkPerS: byWork, limit: rating.limit, missed: [] };
  const alone = predictUnit(unit, mix, byWork * 1e-9);
  const missed = missedOf(alone, targets);
  if (missed.length > 0) return { requestsPerS: null, limit: missed[0]!.figure, missed };
  let [low, high] = [0, byWork];
  let limit = failing(byWork) ?? rating.limit;
  for (let round = 0; round < ROUNDS && high - low > 1e-5 * high; round += 1) {
    const middle = (low + high) / 2;
    const failed = failing(middle);
    if (failed === null) low = middle;
    else [high, limit] = [middle, failed];
  }
  return { requestsPerS: low, byWorkPerS: byWork, limit, missed: [] };
}

/** Whole units for `requestsPerS`, in multiples of `unitStep`. Throws `invalid_request` beyond a million. */
export function unitsFor(requestsPerS: number, perUnit: number, unitStep: number): number {
  if (requestsPerS === 0) return 0;
  // A hair below a whole number is that number.
  const units = Math.max(1, Math.ceil(requestsPerS / perUnit - 1e-9));
  if (!(units <= UNITS_MAX)) {
    throw new CubitError(
      'invalid_request',
      `This traffic needs more than ${UNITS_MAX} units: look at its figures again.`,
    );
  }
  return Math.ceil(units / unitStep) * unitStep;
}

function missedOf({ tpotMs, ttftMs }: UnitPrediction, targets: Targets): Missed[] {
  const check = (figure: Figure, targetMs: number | null, reachedMs: number | undefined): Missed[] =>
    targetMs === null || reachedMs === undefined || reachedMs <= targetMs
      ? []
      : [{ figure, targetMs, reachedMs, over: reachedMs / targetMs - 1 }];
  return [
    ...check('ttft', targets.ttftMs, ttftMs?.[targets.percentile]),
    ...check('tpot', targets.tpotMs, tpotMs?.[targets.percentile]),
  ];
}
