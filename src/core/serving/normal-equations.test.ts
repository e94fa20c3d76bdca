import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NormalEquations, type Row } from './normal-equations.ts';

function solve(unknowns: number, rows: readonly Row[]): number[] {
  const equations = new NormalEquations(unknowns);
  for (const row of rows) equations.add(row);
  return equations.solve();
}

function loss(beta: readonly number[], rows: readonly Row[]): number {
  const residual = ({ features, target }: Row) =>
    features.reduce((sum, x, i) => sum + x * (beta[i] as number), -target);
  return rows.reduce((sum, row) => sum + (row.weight ?? 1) * residual(row) ** 2, 0);
}

describe('NormalEquations', () => {
  it('finds coefficients of very different sizes again', () => {
    const beta = [30_000, 9_600, 0.003];
    const rows = [16, 100, 700, 1_500, 90_000].map((n) => {
      const features = [1, n, (n * n) / 2];
      const target = features.reduce((sum, x, i) => sum + x * (beta[i] as number), 0);
      return { features, target, weight: 1 / target ** 2 };
    });
    solve(3, rows).forEach((value, i) => {
      expect(value / (beta[i] as number)).toBeCloseTo(1, 4);
    });
  });

  it('binds what would be negative and fits the rest again', () => {
    // Free least squares is y = 4 − 1·x.
    const rows = [0, 1, 2].map((x) => ({ features: [1, x], target: 4 - x }));
    const [intercept, slope] = solve(2, rows);
    expect(slope).toBe(0);
    expect(intercept).toBeCloseTo(3, 12);
  });

  it('leaves 0 what no row determines', () => {
    expect(solve(2, [{ features: [2, 0], target: 6 }])).toEqual([3, 0]);
    expect(solve(2, [])).toEqual([0, 0]);
    // The first two are one unknown twice; the third must still be found.
    const rows = [1, 2, 3].map((x) => ({ features: [x, x, x * x], target: 2 * x + 5 * x * x }));
    const [one, two, three] = solve(3, rows) as [number, number, number];
    expect(one + two).toBeCloseTo(2, 9);
    expect(three).toBeCloseTo(5, 9);
  });

  it('weighs, and forgets by scaling', () => {
    const equations = new NormalEquations(1);
    equations.add({ features: [1], target: 10 });
    equations.scale(0.5);
    equations.add({ features: [1], target: 4, weight: 1.5 });
    expect(equations.solve()[0]).toBeCloseTo((0.5 * 10 + 1.5 * 4) / 2, 12);
  });

  it('has no better non-negative neighbour', () => {
    const value = fc.integer({ min: -20, max: 20 });
    const row = fc.record({ features: fc.tuple(value, value, value, value), target: value });
    fc.assert(
      fc.property(fc.array(row, { minLength: 6, maxLength: 12 }), (rows) => {
        const beta = solve(4, rows);
        const best = loss(beta, rows);
        for (let i = 0; i < 4; i += 1) {
          expect(beta[i]).toBeGreaterThanOrEqual(0);
          for (const step of [-0.01, 0.01]) {
            const other = beta.map((x, j) => (i === j ? Math.max(0, x + step) : x));
            expect(loss(other, rows)).toBeGreaterThanOrEqual(best - 1e-6 * (1 + best));
          }
        }
      }),
    );
  });
});
