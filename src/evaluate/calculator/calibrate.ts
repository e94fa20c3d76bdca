import { mean } from '../../core/statistics.ts';
import type { Prediction } from './predict.ts';
import { copyKey, total } from './refit.ts';

/** Prior weight of the model against measured points: n points count n/(n + 0.6). */
const PRIOR_POINTS = 0.6;
/** Different choices of points tried per group. */
const CHOICES_MAX = 8;

/**
 * One factor per model × GPU × engine from `points` measured rows, and what it predicts of the group's other rows, for
 * several choices of points. Copies of a chosen row are left out with it. Ratios predicted / measured.
 */
export function calibrated(predictions: readonly Prediction[], kind: 'tpot' | 'ttft', points: number): number[] {
  const ratios: number[] = [];
  for (const group of groups(predictions)) ratios.push(...ratiosOfGroup(group, kind, points));
  return ratios;
}

function groups(predictions: readonly Prediction[]): Prediction[][] {
  const byKey = new Map<string, Prediction[]>();
  for (const prediction of predictions) {
    const { backend, modelPath, system } = prediction.row;
    const key = `${modelPath} ${system} ${backend}`;
    const group = byKey.get(key);
    if (group) group.push(prediction);
    else byKey.set(key, [prediction]);
  }
  return [...byKey.values()];
}

function ratiosOfGroup(group: readonly Prediction[], kind: 'tpot' | 'ttft', points: number): number[] {
  const distinct = [...new Map(group.map((prediction) => [copyKey(prediction), prediction])).values()];
  if (distinct.length <= points) return [];
  const sorted = distinct.sort((a, b) => a.concurrency - b.concurrency);
  const choices = Math.min(CHOICES_MAX, sorted.length);
  const ratios: number[] = [];
  for (let choice = 0; choice < choices; choice++) {
    const chosen = new Set(pick(sorted, points, choice / choices));
    const logs = [...chosen].map((prediction) => Math.log(ratioOf(prediction, kind)));
    const factor = Math.exp((mean(logs) * points) / (points + PRIOR_POINTS));
    for (const prediction of sorted) if (!chosen.has(prediction)) ratios.push(ratioOf(prediction, kind) / factor);
  }
  return ratios;
}

/** `points` rows spread evenly over the sorted ones, beginning at `offset` (a share of the distance between two). */
function pick(sorted: readonly Prediction[], points: number, offset: number): Prediction[] {
  const distance = sorted.length / points;
  return Array.from({ length: points }, (_, index) => sorted[Math.floor((index + offset) * distance)]!);
}

function ratioOf(prediction: Prediction, kind: 'tpot' | 'ttft'): number {
  return total(prediction, kind) / (prediction.row[`${kind}Ms`] * 1000);
}
