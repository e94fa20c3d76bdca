import { NormalEquations } from '../../core/serving/normal-equations.ts';
import type { Generation } from '../../core/serving/performance/facts.ts';
import { PARTS, type PartValues, type Shape } from './parts.ts';

/** A measured cell beside what the step model says of its parts. */
export interface Observation {
  readonly group: string;
  readonly model: string;
  readonly generation: Generation;
  readonly shape: Shape;
  /** Per output token by part, µs of one accelerator. */
  readonly contributions: PartValues;
  /** The same, measured, all parts together. */
  readonly workUs: number;
}

export type Target = Pick<Observation, 'group' | 'model' | 'generation' | 'shape'>;

/** Relative standard deviations: what cells scatter by, and how far factors are believed to be from what is behind them. */
const NOISE = { inGroup: 0.05, betweenGroups: 0.15 };
const SPREAD = { part: 0.35, partInGroup: 0.25, scale: 0.8 };
/** Cells of another generation of accelerators teach the parts' factors so much less. */
const OTHER_GENERATION = 0.3;
/** What another group of the same model says of a group's scale, against one that nothing is known of. */
const SAME_MODEL = { sameGeneration: 4, otherGeneration: 2 };
const ROUNDS = 6;

/**
 * Factors by part that correct the step model for `target`'s group, learned from `cells` (never the target itself):
 * non-negative least squares on the relative error, in three layers, each with the one before as its prior:
 *
 *   1 the step model from facts: every factor 1
 *   2 what all groups have in common: a factor for each part; beside them each group has a scale of its own
 *   3 the group's own cells: its scale and its parts; cells of a similar shape count most
 *
 * So a group without other cells takes the step model's coefficients, scaled by what other groups taught.
 */
export function factorsFor(target: Target, cells: readonly Observation[]): PartValues {
  const { common, scales } = commonFactors(target, cells);
  return ownFactors(target, cells, common, priorScale(target, cells, scales));
}

function commonFactors(target: Target, cells: readonly Observation[]) {
  const scales = new Map(cells.map(({ group }) => [group, 1]));
  const parts = PARTS.length;
  let common: PartValues = new Array<number>(parts).fill(1);
  for (let round = 0; round < ROUNDS; round += 1) {
    const equations = new NormalEquations(parts);
    for (const { contributions, generation, group, workUs } of cells) {
      const scale = scales.get(group) as number;
      const weight = generation === target.generation ? 1 : OTHER_GENERATION;
      const features = contributions.map((us) => (us * scale) / workUs);
      equations.add({ features, target: 1, weight: weight / NOISE.betweenGroups ** 2 });
    }
    common.forEach((_, part) => {
      equations.add({ features: unit(parts, part), target: 1, weight: 1 / SPREAD.part ** 2 });
    });
    common = equations.solve();
    for (const group of scales.keys()) scales.set(group, scaleOf(group, cells, common));
  }
  return { common, scales };
}

/** Geometric mean of measured ÷ predicted, drawn towards 1 where a group has few cells. */
function scaleOf(group: string, cells: readonly Observation[], common: PartValues): number {
  const own = cells.filter((cell) => cell.group === group);
  const logs = own.reduce((sum, { contributions, workUs }) => sum + Math.log(workUs / dot(contributions, common)), 0);
  return Math.exp(logs / (own.length + (NOISE.betweenGroups / SPREAD.scale) ** 2));
}

function priorScale(target: Target, cells: readonly Observation[], scales: ReadonlyMap<string, number>): number {
  const related = new Map<string, Observation>();
  for (const cell of cells)
    if (cell.model === target.model && cell.group !== target.group) related.set(cell.group, cell);
  let logs = 0;
  let weights = 1;
  for (const [group, { generation }] of related) {
    const weight = generation === target.generation ? SAME_MODEL.sameGeneration : SAME_MODEL.otherGeneration;
    logs += weight * Math.log(scales.get(group) as number);
    weights += weight;
  }
  return Math.exp(logs / weights);
}

/** Unknowns: a factor on each common one, and the scale that they scatter about. */
function ownFactors(target: Target, cells: readonly Observation[], common: PartValues, scale: number): PartValues {
  const parts = common.length;
  const equations = new NormalEquations(parts + 1);
  for (const { contributions, group, shape, workUs } of cells) {
    if (group !== target.group) continue;
    const features = contributions.map((us, part) => (us * (common[part] as number)) / workUs);
    const weight = 1 / (1 + distance(shape, target.shape) ** 2);
    equations.add({ features: [...features, 0], target: 1, weight: weight / NOISE.inGroup ** 2 });
  }
  common.forEach((_, part) => {
    const features = unit(parts + 1, part);
    features[parts] = -1;
    equations.add({ features, target: 0, weight: 1 / SPREAD.partInGroup ** 2 });
  });
  equations.add({ features: unit(parts + 1, parts), target: scale, weight: 1 / SPREAD.scale ** 2 });
  const own = equations.solve();
  return common.map((factor, part) => factor * (own[part] as number));
}

/** Of two shapes, in factors of e. */
export function distance(a: Shape, b: Shape): number {
  return Math.hypot(Math.log(a.promptTokens / b.promptTokens), Math.log(a.outputTokens / b.outputTokens));
}

function unit(length: number, at: number): number[] {
  return Array.from({ length }, (_, index) => (index === at ? 1 : 0));
}

function dot(a: PartValues, b: PartValues): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] as number), 0);
}
