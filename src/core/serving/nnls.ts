import { NormalEquations } from './normal-equations.ts';

/**
 * Non-negative least squares: the x ≥ 0 that minimises |A·x − b|². For few columns (about ten) and any number of rows.
 * A column without any entry, or that others make up, gets 0. `rows` of unequal length throw.
 */
export function nonNegativeLeastSquares(rows: readonly (readonly number[])[], b: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== columns) || rows.length !== b.length) {
    throw new Error('every row needs the same number of columns, and a right side');
  }
  const equations = new NormalEquations(columns);
  rows.forEach((features, at) => {
    equations.add({ features, target: b[at] as number });
  });
  return equations.solve();
}
