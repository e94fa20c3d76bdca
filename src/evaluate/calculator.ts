import type { Catalog } from '../catalog/schema.ts';
import { CubitError } from '../core/errors.ts';
import { calibrated } from './calculator/calibrate.ts';
import { createFactFinder, type FactFinder, modelKey } from './calculator/facts.ts';
import { type Prediction, predict } from './calculator/predict.ts';
import { type Factors, familyKey, refit, total } from './calculator/refit.ts';
import { type MeasuredRow, parseRows } from './calculator/rows.ts';
import { type Errors, errorsOf } from './calculator/statistics.ts';

export interface CalculatorOptions {
  /** A model path: evaluate this family only, with the model's parts refitted on all others. */
  readonly leaveOut?: string | undefined;
  /** Measured points per model × GPU × engine to calibrate with. */
  readonly calibrate?: number | undefined;
}

interface Group {
  readonly rows: number;
  readonly tpot: Errors;
  readonly ttft: Errors;
}

interface Uncovered {
  readonly modelPath: string;
  readonly system: string;
  readonly rows: number;
  /** What is missing. */
  readonly reason: string;
}

export interface CalculatorReport {
  readonly constants: string;
  readonly rows: number;
  readonly covered: number;
  readonly aggregated: { readonly rows: number; readonly covered: number };
  readonly uncovered: readonly Uncovered[];
  /** Over aggregated rows. */
  readonly tpot: Errors;
  readonly ttft: Errors;
  readonly byModel: Readonly<Record<string, Group>>;
  readonly bySystem: Readonly<Record<string, Group>>;
  readonly byBackend: Readonly<Record<string, Group>>;
  readonly byMode: Readonly<Record<string, Group>>;
  readonly calibrated?: Group & { readonly points: number };
}

/**
 * Predicts every measured row of a CSV (aiconfigurator's `silicon_sample.csv`) from facts and says how far off it is.
 * `predictions` holds the rows behind the figures, for a plot. Throws `invalid_request` for a file of another format, or
 * a model to leave out that it does not have.
 */
export function evaluateCalculator(
  csv: string,
  catalog: Catalog,
  { calibrate, leaveOut }: CalculatorOptions = {},
): { readonly report: CalculatorReport; readonly predictions: readonly Prediction[] } {
  const { faults, rows } = parseRows(csv);
  const finder = createFactFinder(catalog);
  const { predictions, uncovered } = predictAll(rows, finder);
  for (const { modelPath, reason, system } of faults) uncovered.push({ modelPath, system, reason, rows: 1 });
  const kept = leaveOut === undefined ? predictions : only(predictions, leaveOut);
  const factors = leaveOut === undefined ? undefined : refitWithout(predictions, kept);
  const groupOf = (members: readonly Prediction[]) => group(members, factors);
  const aggregated = kept.filter(({ mode }) => mode === 'agg');
  const { tpot, ttft } = groupOf(aggregated);
  const scope = leaveOut === undefined ? rows.length + faults.length : kept.length;
  const aggregatedRows = rows.filter(({ mode }) => mode === 'agg').length;
  const report: CalculatorReport = {
    constants:
      leaveOut === undefined
        ? 'frozen'
        : `one factor per part, refitted without ${leaveOut} and models of its shape, from the frozen constants as prior`,
    rows: scope,
    covered: kept.length,
    aggregated: {
      rows: leaveOut === undefined ? aggregatedRows : kept.filter(({ row }) => row.mode === 'agg').length,
      covered: kept.filter(({ row }) => row.mode === 'agg').length,
    },
    uncovered: leaveOut === undefined ? merge(uncovered) : [],
    tpot,
    ttft,
    byModel: groupedBy(aggregated, ({ row }) => row.modelPath, groupOf),
    bySystem: groupedBy(aggregated, ({ row }) => row.system, groupOf),
    byBackend: groupedBy(aggregated, ({ row }) => row.backend, groupOf),
    byMode: groupedBy(kept, ({ mode }) => mode, groupOf),
    ...(calibrate === undefined ? {} : { calibrated: calibratedGroup(aggregated, calibrate) }),
  };
  return { report, predictions: kept };
}

function predictAll(rows: readonly MeasuredRow[], finder: FactFinder) {
  const predictions: Prediction[] = [];
  const uncovered: Uncovered[] = [];
  for (const row of rows) {
    const { modelPath, system } = row;
    const shape = finder.shapeOf(modelPath);
    const accelerator = finder.acceleratorOf(system);
    if (shape && accelerator) predictions.push(predict(row, shape, accelerator));
    else uncovered.push({ modelPath, system, rows: 1, reason: missing(shape === null, accelerator === null) });
  }
  return { predictions, uncovered };
}

function missing(model: boolean, accelerator: boolean): string {
  const parts = [
    ...(model ? ['no architecture: add the model to catalog/models'] : []),
    ...(accelerator ? ['no accelerator: add its memory, bandwidth, FLOPS and link to catalog/machine-types.json'] : []),
  ];
  return parts.join('; ');
}

function merge(items: readonly Uncovered[]): Uncovered[] {
  const merged = new Map<string, Uncovered>();
  for (const item of items) {
    const key = JSON.stringify([item.modelPath, item.system, item.reason]);
    merged.set(key, { ...item, rows: (merged.get(key)?.rows ?? 0) + item.rows });
  }
  return [...merged.values()];
}

function only(predictions: readonly Prediction[], modelPath: string): Prediction[] {
  const key = modelKey(modelPath);
  const kept = predictions.filter(({ row }) => modelKey(row.modelPath) === key);
  if (kept.length > 0) return kept;
  const names = [...new Set(predictions.map(({ row }) => row.modelPath))].sort();
  throw new CubitError('invalid_request', `No covered row is of ${modelPath}. The file has: ${names.join(', ')}.`);
}

function refitWithout(predictions: readonly Prediction[], left: readonly Prediction[]) {
  const family = familyKey(left[0]!);
  const others = predictions.filter((each) => each.mode === 'agg' && familyKey(each) !== family);
  return { tpot: refit(others, 'tpot'), ttft: refit(others, 'ttft') };
}

function group(members: readonly Prediction[], factors?: { readonly tpot: Factors; readonly ttft: Factors }): Group {
  const ratios = (kind: 'tpot' | 'ttft') =>
    members.map((each) => total(each, kind, factors?.[kind]) / (each.row[`${kind}Ms`] * 1000));
  return { rows: members.length, tpot: errorsOf(ratios('tpot')), ttft: errorsOf(ratios('ttft')) };
}

function groupedBy(
  predictions: readonly Prediction[],
  keyOf: (prediction: Prediction) => string,
  groupOf: (members: readonly Prediction[]) => Group,
): Record<string, Group> {
  const members = new Map<string, Prediction[]>();
  for (const each of predictions) {
    const found = members.get(keyOf(each));
    if (found) found.push(each);
    else members.set(keyOf(each), [each]);
  }
  const sorted = [...members].sort(([a], [b]) => a.localeCompare(b));
  return Object.fromEntries(sorted.map(([key, group]) => [key, groupOf(group)]));
}

function calibratedGroup(predictions: readonly Prediction[], points: number) {
  const tpot = calibrated(predictions, 'tpot', points);
  const ttft = calibrated(predictions, 'ttft', points);
  return { points, rows: tpot.length, tpot: errorsOf(tpot), ttft: errorsOf(ttft) };
}
