import { type Prediction, sumUs } from './predict.ts';

/**
 * Refitting: one factor per part, pulled towards 1 (the frozen constants) by a prior, on log errors. Families weigh as
 * the square root of their rows, so that the largest does not decide for all; copies of a row count once together.
 */
type Parts = Readonly<Record<string, number>>;
export type Factors = Readonly<Record<string, number>>;

/** Standard deviation of a factor's logarithm: how far a part may move without evidence. */
const PRIOR_SD = 0.15;
/** Of one row's log error; and how far an outlier can pull. */
const ROW_SD = 0.15;
const ROUNDS = 8;

interface Sample {
  readonly parts: Parts;
  readonly measuredUs: number;
  readonly weight: number;
}

export function refit(predictions: readonly Prediction[], kind: 'tpot' | 'ttft'): Factors {
  const names = Object.keys(predictions[0]?.[`${kind}Parts`] ?? {});
  const samples = samplesOf(predictions, kind);
  let logs = names.map(() => 0);
  for (let round = 0; round < ROUNDS; round++) logs = step(names, samples, logs);
  return Object.fromEntries(names.map((name, index) => [name, Math.exp(logs[index]!)]));
}

export function applied(parts: Parts, factors: Factors): number {
  return Object.entries(parts).reduce((sum, [name, us]) => sum + us * (factors[name] ?? 1), 0);
}

function samplesOf(predictions: readonly Prediction[], kind: 'tpot' | 'ttft'): Sample[] {
  const copies = countBy(predictions, copyKey);
  const families = countBy(predictions, familyKey);
  return predictions.map((prediction) => ({
    parts: prediction[`${kind}Parts`],
    measuredUs: prediction.row[`${kind}Ms`] * 1000,
    weight: 1 / copies.get(copyKey(prediction))! / Math.sqrt(families.get(familyKey(prediction))!),
  }));
}

/** Models of one shape are one family, whatever their names. */
export function familyKey({ shape }: Prediction): string {
  return JSON.stringify(shape);
}

/** Same run exported twice. */
export function copyKey({ concurrency, row, shape }: Prediction): string {
  const { backend, outputTokens, precision, promptTokens, system, tpotMs, ttftMs } = row;
  return JSON.stringify([shape, backend, system, precision, promptTokens, outputTokens, concurrency, tpotMs, ttftMs]);
}

function countBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}

/** One Gauss–Newton step with Huber weights: rows far off count linearly. */
function step(names: readonly string[], samples: readonly Sample[], logs: readonly number[]): number[] {
  const size = names.length;
  const normal = names.map((_, row) => names.map((_, column) => (row === column ? 1 / PRIOR_SD ** 2 : 0)));
  const right = names.map((_, index) => -logs[index]! / PRIOR_SD ** 2);
  for (const { measuredUs, parts, weight } of samples) {
    const scaled = names.map((name, index) => parts[name]! * Math.exp(logs[index]!));
    const total = scaled.reduce((sum, us) => sum + us, 0);
    const residual = Math.log(measuredUs / total);
    const trust = (weight * Math.min(1, (2 * ROW_SD) / Math.abs(residual || 1e-9))) / ROW_SD ** 2;
    const shares = scaled.map((us) => us / total);
    for (let row = 0; row < size; row++) {
      right[row]! += trust * shares[row]! * residual;
      for (let column = 0; column < size; column++) normal[row]![column]! += trust * shares[row]! * shares[column]!;
    }
  }
  const move = solve(normal, right);
  return logs.map((log, index) => log + move[index]!);
}

/** Symmetric positive definite system (the prior sees to that), by elimination. */
function solve(matrix: number[][], right: number[]): number[] {
  const size = right.length;
  const m = matrix.map((row, index) => [...row, right[index]!]);
  for (let pivot = 0; pivot < size; pivot++) {
    for (let row = pivot + 1; row < size; row++) {
      const factor = m[row]![pivot]! / m[pivot]![pivot]!;
      for (let column = pivot; column <= size; column++) m[row]![column]! -= factor * m[pivot]![column]!;
    }
  }
  const x = new Array<number>(size).fill(0);
  for (let row = size - 1; row >= 0; row--) {
    let value = m[row]![size]!;
    for (let column = row + 1; column < size; column++) value -= m[row]![column]! * x[column]!;
    x[row] = value / m[row]![row]!;
  }
  return x;
}

export function total(prediction: Prediction, kind: 'tpot' | 'ttft', factors?: Factors): number {
  const parts = prediction[`${kind}Parts`];
  return factors ? applied(parts, factors) : sumUs(parts);
}
