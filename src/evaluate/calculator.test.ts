import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadCatalog } from '../catalog/load.ts';
import { calibrated } from './calculator/calibrate.ts';
import { plotErrors } from './calculator/plot.ts';
import { refit, total } from './calculator/refit.ts';
import { errorsOf, quantile } from './calculator/statistics.ts';
import { evaluateCalculator } from './calculator.ts';

const csv = readFileSync(new URL('./calculator/samples/silicon-rows.csv', import.meta.url), 'utf8');
const catalog = await loadCatalog();
const { predictions, report } = evaluateCalculator(csv, catalog);

describe('evaluateCalculator', () => {
  it('covers every row of the sample and reports modes apart', () => {
    expect(report).toMatchObject({ constants: 'frozen', rows: 30, covered: 30, uncovered: [] });
    expect(Object.entries(report.byMode).map(([mode, { rows }]) => [mode, rows])).toEqual([
      ['agg', 24],
      ['agg_whole_deployment', 1],
      ['disagg', 5],
    ]);
    expect(Object.keys(report)).toEqual(
      expect.arrayContaining([
        'rows',
        'covered',
        'uncovered',
        'tpot',
        'ttft',
        'byModel',
        'bySystem',
        'byBackend',
        'byMode',
      ]),
    );
    expect(report.byMode['agg']!.tpot).toEqual(report.tpot);
  });

  it('is as near to these rows as the documentation says of all', () => {
    expect(report.tpot.medianApePct).toBeLessThan(13);
    expect(report.ttft.medianApePct).toBeLessThan(35);
  });

  it('lists models and accelerators without facts, and counts their rows', () => {
    const other = csv.replaceAll('Qwen/Qwen3-32B', 'nobody/Unknown-7B').replaceAll(',h200_sxm,', ',q9000,');
    const { covered, rows, uncovered } = evaluateCalculator(other, catalog).report;
    expect(rows).toBe(30);
    expect(covered + uncovered.reduce((sum, each) => sum + each.rows, 0)).toBe(30);
    expect(uncovered).toContainEqual(expect.objectContaining({ modelPath: 'nobody/Unknown-7B', system: 'h100_sxm' }));
    const reason = uncovered.find(({ system }) => system === 'q9000')!.reason;
    expect(reason).toMatch(/memory, bandwidth, FLOPS and link/);
  });

  it('leaves a family out: refits on the others, under all its names', () => {
    const left = evaluateCalculator(csv, catalog, { leaveOut: 'Qwen/Qwen3-32B-FP8' });
    expect(left.report.constants).toMatch(/refitted without Qwen\/Qwen3-32B-FP8/);
    expect(left.report.rows).toBe(7);
    expect(left.report.tpot).not.toEqual(report.byModel['Qwen/Qwen3-32B']!.tpot);
    expect(() => evaluateCalculator(csv, catalog, { leaveOut: 'Qwen/Qwen9' })).toThrow(
      /The file has: .*Qwen\/Qwen3-32B/,
    );
  });

  it('calibrates on the asked points and judges on the others', () => {
    const found = evaluateCalculator(csv, catalog, { calibrate: 1 }).report.calibrated!;
    expect(found.points).toBe(1);
    expect(found.rows).toBeGreaterThan(25);
    expect(calibrated(predictions, 'tpot', 100)).toEqual([]);
  });
});

describe('refit', () => {
  const aggregated = predictions.filter(({ mode }) => mode === 'agg');

  it('leaves the constants alone where they are right', () => {
    const exact = aggregated.map((each) => ({ ...each, row: { ...each.row, tpotMs: total(each, 'tpot') / 1000 } }));
    for (const factor of Object.values(refit(exact, 'tpot'))) expect(factor).toBeCloseTo(1, 6);
  });

  it('moves towards rows that say otherwise, no further than they do', () => {
    const slower = aggregated.map((each) => ({
      ...each,
      row: { ...each.row, tpotMs: (1.2 * total(each, 'tpot')) / 1000 },
    }));
    const factors = refit(slower, 'tpot');
    const ratios = slower.map((each) => total(each, 'tpot', factors) / (each.row.tpotMs * 1000));
    expect(quantile(ratios, 0.5)).toBeGreaterThan(0.87);
    expect(Math.max(...ratios)).toBeLessThan(1.02);
  });
});

it('errors: worked by hand', () => {
  expect(errorsOf([1.1, 0.8, 1.4])).toEqual({ medianApePct: 20, mapePct: 23.33 });
  expect(errorsOf([])).toEqual({ medianApePct: null, mapePct: null });
});

it('plots one line per model, accelerator and engine', () => {
  const svg = plotErrors(predictions);
  expect(svg.match(/<circle/g)).toHaveLength(
    2 *
      new Set(
        predictions
          .filter(({ mode }) => mode === 'agg')
          .map(({ row }) => `${row.modelPath}${row.system}${row.backend}`),
      ).size,
  );
  expect(svg).toContain('Llama-3.1-70B · h200_sxm · vllm (8)');
});
