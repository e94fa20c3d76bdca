import type { Catalog } from '../catalog/schema.ts';
import { NormalEquations } from '../core/serving/normal-equations.ts';
import type { Deployment } from '../core/serving/performance/facts.ts';
import { mean, median } from '../core/statistics.ts';
import { type Cell, groupOf } from './work/cells.ts';
import { createDeploymentFinder } from './work/deployment.ts';
import { distance, factorsFor, type Observation } from './work/fit.ts';
import { contributionsOf, correctedCoefficients, type Shape, slopesOf, workPerTokenUs } from './work/parts.ts';

/** Errors are |predicted − measured| ÷ measured of the throughput, percent. */
export interface WorkReport {
  /** Predicted; those of `uncovered` are not among them. */
  readonly cells: number;
  readonly mapePct: number | null;
  readonly medianApePct: number | null;
  /** The same cells by the best fixed weights of input and output tokens. */
  readonly linearMapePct: number | null;
  readonly linearMedianApePct: number | null;
  /** Left out together with cells of the group whose lengths differ by less than 10 %. */
  readonly withoutTwinsMapePct: number | null;
  readonly byGroup: readonly GroupReport[];
  readonly uncovered: readonly {
    readonly model: string;
    readonly gpu: string;
    readonly reason: string;
    readonly cells: number;
  }[];
}

export interface GroupReport {
  readonly group: string;
  readonly cells: number;
  /** Too small to leave one out: from the step model, scaled by what other groups taught. */
  readonly fromStepModel: boolean;
  readonly mapePct: number;
  readonly linearMapePct: number;
}

/** A covered cell. */
interface Known extends Observation {
  readonly deployment: Deployment;
  readonly measuredPerS: number;
}

interface Prediction {
  readonly known: Known;
  readonly fromStepModel: boolean;
  readonly apePct: number;
  readonly linearApePct: number;
  readonly withoutTwinsApePct: number;
}

/** Lengths this close, in factors of e, make two cells twins: 1,000/1,000 and 1,024/1,024. */
const TWINS = 0.1;
/** Linear weights are two unknowns. */
const LINEAR_CELLS_MIN = 2;

/** Leaves out each cell in turn and predicts it from all others of the file. */
export function evaluateWork(cells: readonly Cell[], catalog: Catalog): WorkReport {
  const { known, uncovered } = coverage(cells, catalog);
  const predictions = known.map((left) => predict(left, known));
  const groups = new Map<string, Prediction[]>();
  for (const one of predictions) groups.set(one.known.group, [...(groups.get(one.known.group) ?? []), one]);
  const over = (statistic: (values: readonly number[]) => number, of: (one: (typeof predictions)[number]) => number) =>
    predictions.length === 0 ? null : statistic(predictions.map(of));
  return {
    cells: predictions.length,
    mapePct: over(mean, ({ apePct }) => apePct),
    medianApePct: over(median, ({ apePct }) => apePct),
    linearMapePct: over(mean, ({ linearApePct }) => linearApePct),
    linearMedianApePct: over(median, ({ linearApePct }) => linearApePct),
    withoutTwinsMapePct: over(mean, ({ withoutTwinsApePct }) => withoutTwinsApePct),
    byGroup: [...groups].map(([group, own]) => ({
      group,
      cells: own.length,
      fromStepModel: own.every(({ fromStepModel }) => fromStepModel),
      mapePct: mean(own.map(({ apePct }) => apePct)),
      linearMapePct: mean(own.map(({ linearApePct }) => linearApePct)),
    })),
    uncovered,
  };
}

function coverage(cells: readonly Cell[], catalog: Catalog) {
  const find = createDeploymentFinder(catalog);
  const known: Known[] = [];
  const uncovered = new Map<string, WorkReport['uncovered'][number]>();
  for (const cell of cells) {
    const found = find(cell);
    if ('deployment' in found) known.push(knownOf(cell, found.deployment));
    else {
      const { gpu, model } = cell;
      const id = `${model} ${gpu} ${found.reason}`;
      uncovered.set(id, { model, gpu, reason: found.reason, cells: (uncovered.get(id)?.cells ?? 0) + 1 });
    }
  }
  return { known, uncovered: [...uncovered.values()] };
}

function knownOf(cell: Cell, deployment: Deployment): Known {
  const shape = { promptTokens: cell.promptTokens, outputTokens: cell.outputTokens };
  return {
    group: groupOf(cell),
    model: cell.model,
    generation: deployment.accelerator.generation,
    shape,
    contributions: contributionsOf(slopesOf(deployment, shape), shape),
    workUs: 1e6 / cell.tokensPerS,
    deployment,
    measuredPerS: cell.tokensPerS,
  };
}

function predict(left: Known, all: readonly Known[]): Prediction {
  const others = all.filter((cell) => cell !== left);
  const own = others.filter(({ group }) => group === left.group);
  const apart = others.filter(({ group, shape }) => group !== left.group || distance(shape, left.shape) > TWINS);
  const stepModel = modelOf(left, others);
  const linear = own.length < LINEAR_CELLS_MIN ? linearOfModel(stepModel, all) : linearOf(own);
  return {
    known: left,
    fromStepModel: own.length === 0,
    apePct: errorPct(left, stepModel(left.shape)),
    linearApePct: errorPct(left, linear(left.shape)),
    withoutTwinsApePct: errorPct(left, modelOf(left, apart)(left.shape)),
  };
}

/** Work per output token of any shape, µs. */
type WorkOf = (shape: Shape) => number;

function modelOf(left: Known, others: readonly Known[]): WorkOf {
  const factors = factorsFor(left, others);
  return (shape) => workPerTokenUs(correctedCoefficients(slopesOf(left.deployment, shape), factors), shape);
}

/** The baseline: a·input + b·output for every request of a group, fitted by the same criterion. */
function linearOf(cells: readonly Pick<Known, 'shape' | 'workUs'>[]): WorkOf {
  const equations = new NormalEquations(2);
  const ratio = ({ outputTokens, promptTokens }: Shape) => promptTokens / outputTokens;
  for (const { shape, workUs } of cells) equations.add({ features: [ratio(shape) / workUs, 1 / workUs], target: 1 });
  const [input = 0, output = 0] = equations.solve();
  return (shape) => input * ratio(shape) + output;
}

/** For groups too small for weights of their own: those nearest to the step model over the file's shapes. */
function linearOfModel(workOf: WorkOf, all: readonly Known[]): WorkOf {
  return linearOf(all.map(({ shape }) => ({ shape, workUs: workOf(shape) })));
}

function errorPct({ measuredPerS }: Known, workUs: number): number {
  return (100 * Math.abs(1e6 / workUs - measuredPerS)) / measuredPerS;
}
