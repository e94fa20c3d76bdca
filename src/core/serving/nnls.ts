/**
 * Non-negative least squares: the x ≥ 0 that minimises |A·x − b|², by the active-set method of Lawson and Hanson
 * (Solving Least Squares Problems, 1974, chapter 23), on the normal equations. For few columns (about ten) and any
 * number of rows. A column without any entry, or that others make up, gets 0. `rows` of unequal length throw.
 */
export function nonNegativeLeastSquares(rows: readonly (readonly number[])[], b: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== columns) || rows.length !== b.length) {
    throw new Error('every row needs the same number of columns, and a right side');
  }
  const scale = columnNorms(rows, columns);
  const { gram, moment } = normalEquations(rows, b, scale);
  const largest = Math.max(...moment.map(Math.abs), 0);
  const x = new Array<number>(columns).fill(0);
  const free = new Set<number>();
  for (let round = 0; round < 3 * columns + 10; round += 1) {
    const entering = steepest(gram, moment, x, free, largest * TOLERANCE);
    if (entering === null) break;
    free.add(entering);
    moveToOptimum(gram, moment, x, free);
    // It left at once: numerically it cannot help, and asking again would loop.
    if (!free.has(entering) && steepest(gram, moment, x, free, largest * TOLERANCE) === entering) break;
  }
  return x.map((value, column) => (scale[column] === 0 ? 0 : value / scale[column]!));
}

const TOLERANCE = 1e-10;
/** Keeps the normal equations of columns that say the same solvable. */
const RIDGE = 1e-12;

/** Columns are scaled to length 1: a step's fixed time and its attended pairs differ by ten orders of magnitude. */
function columnNorms(rows: readonly (readonly number[])[], columns: number): number[] {
  return Array.from({ length: columns }, (_, column) =>
    Math.sqrt(rows.reduce((sum, row) => sum + row[column]! * row[column]!, 0)),
  );
}

function normalEquations(rows: readonly (readonly number[])[], b: readonly number[], scale: readonly number[]) {
  const scaled = rows.map((row) => row.map((value, column) => (scale[column] === 0 ? 0 : value / scale[column]!)));
  const inner = (left: number, right: (row: readonly number[], at: number) => number) =>
    scaled.reduce((sum, row, at) => sum + row[left]! * right(row, at), 0);
  return {
    gram: scale.map((_, i) => scale.map((_, j) => inner(i, (row) => row[j]!))),
    moment: scale.map((_, i) => inner(i, (_, at) => b[at]!)),
  };
}

/** The held variable whose growth lowers the error fastest; null when none does: the optimum. */
function steepest(
  gram: readonly (readonly number[])[],
  moment: readonly number[],
  x: readonly number[],
  free: ReadonlySet<number>,
  tolerance: number,
): number | null {
  let best: number | null = null;
  let bestSlope = tolerance;
  moment.forEach((value, i) => {
    if (free.has(i)) return;
    const slope = value - gram[i]!.reduce((sum, g, j) => sum + g * x[j]!, 0);
    if (slope > bestSlope) {
      best = i;
      bestSlope = slope;
    }
  });
  return best;
}

/** Goes to the optimum of the free variables; one that would turn negative stops the way at 0 and is held again. */
function moveToOptimum(
  gram: readonly (readonly number[])[],
  moment: readonly number[],
  x: number[],
  free: Set<number>,
): void {
  while (free.size > 0) {
    const indexes = [...free];
    const target = solve(gram, moment, indexes);
    let share = 1;
    indexes.forEach((index, at) => {
      const from = x[index]!;
      const to = target[at]!;
      if (to <= 0) share = Math.min(share, from <= 0 ? 0 : from / (from - to));
    });
    indexes.forEach((index, at) => {
      x[index] = x[index]! + share * (target[at]! - x[index]!);
    });
    if (share === 1) return;
    for (const [at, index] of indexes.entries()) {
      if (target[at]! > 0 || x[index]! > 1e-15) continue;
      x[index] = 0;
      free.delete(index);
    }
  }
}

/** Solves the free variables' normal equations by Cholesky's decomposition. */
function solve(gram: readonly (readonly number[])[], moment: readonly number[], indexes: readonly number[]): number[] {
  const n = indexes.length;
  const lower: number[][] = [];
  for (let i = 0; i < n; i += 1) {
    const row: number[] = [];
    lower.push(row);
    for (let j = 0; j <= i; j += 1) {
      let sum = gram[indexes[i]!]![indexes[j]!]!;
      for (let k = 0; k < j; k += 1) sum -= row[k]! * lower[j]![k]!;
      row.push(i === j ? Math.sqrt(Math.max(sum + RIDGE, RIDGE)) : sum / lower[j]![j]!);
    }
  }
  const y = indexes.map((index) => moment[index]!);
  for (let i = 0; i < n; i += 1) {
    for (let k = 0; k < i; k += 1) y[i] = y[i]! - lower[i]![k]! * y[k]!;
    y[i] = y[i]! / lower[i]![i]!;
  }
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let k = i + 1; k < n; k += 1) y[i] = y[i]! - lower[k]![i]! * y[k]!;
    y[i] = y[i]! / lower[i]![i]!;
  }
  return y;
}
