import { CubitError } from '../core/errors.ts';
import { median } from '../core/statistics.ts';
import type { Cell } from './cells.ts';
import type { Sample } from './run-cell.ts';
import { relativeHalfWidth, shuffled } from './statistics.ts';

export interface RoundsOptions {
  readonly cells: readonly Cell[];
  readonly run: (cell: Cell) => Promise<readonly Sample[]>;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly budgetMs: number;
  /** A cell is done when the 95 % interval of each of its medians is within ± this share. */
  readonly halfWidthMax: number;
  readonly repeatsMin: number;
  readonly repeatsMax: number;
  /** Ends the measuring; what is there is kept. */
  readonly stop: AbortSignal;
  readonly onProgress: (progress: Progress) => void;
}

export interface Progress {
  readonly cell: Cell;
  readonly repeats: number;
  readonly cellsDone: number;
  readonly cells: number;
  readonly elapsedMs: number;
}

/** A cell with what its repeats gave. */
export interface MeasuredCell {
  readonly cell: Cell;
  readonly samples: readonly Sample[];
  /** Of the wider of its medians; infinite while there is one repeat. */
  readonly halfWidth: number;
}

export interface Measured {
  readonly cells: readonly MeasuredCell[];
  /** `tight`: every cell is; else what ended it. */
  readonly endedBy: 'tight' | 'repeats' | 'time' | 'stopped';
}

interface State {
  readonly cell: Cell;
  readonly samples: Sample[];
  repeats: number;
  barren: number;
  /** Of its cheapest repeat: the first may have filled a cache. */
  costMs: number;
}

/** A cell whose repeats give nothing this often is left out. */
const BARREN_MAX = 3;

/**
 * Repeats the cells in rounds, each in another order, so that a machine that slows down for a while spoils a little of
 * every cell instead of one whole cell. The first round goes from cheap to dear: even a short budget ends with some of
 * everything. Throws what `run` throws while nothing was measured; later a failing engine ends the measuring.
 */
export async function measureRounds(options: RoundsOptions): Promise<Measured> {
  const { budgetMs, nowMs, random, repeatsMax, stop } = options;
  const states = options.cells.map((cell): State => ({ cell, samples: [], repeats: 0, barren: 0, costMs: 0 }));
  const startedAtMs = nowMs();
  let skipped = false;
  for (let round = 0; round < repeatsMax + BARREN_MAX; round += 1) {
    const open = states.filter((state) => isOpen(state, options));
    if (open.length === 0) break;
    const order = round === 0 ? open.toSorted((a, b) => sizeOf(a.cell) - sizeOf(b.cell)) : shuffled(open, random);
    let ran = 0;
    for (const state of order) {
      if (stop.aborted) return result(states, 'stopped');
      const leftMs = budgetMs - (nowMs() - startedAtMs);
      if (leftMs <= 0 || state.costMs > leftMs) {
        skipped = true;
        continue;
      }
      if (!(await repeat(state, options, states))) return result(states, 'stopped');
      ran += 1;
      const cellsDone = states.filter((one) => !isOpen(one, options)).length;
      const { cell, repeats } = state;
      options.onProgress({ cell, repeats, cellsDone, cells: states.length, elapsedMs: nowMs() - startedAtMs });
    }
    if (ran === 0) break;
  }
  if (skipped) return result(states, 'time');
  const loose = states.some(({ samples }) => halfWidthOf(samples) > options.halfWidthMax);
  return result(states, loose ? 'repeats' : 'tight');
}

/** False when the engine failed after something was measured, or was stopped. */
async function repeat(state: State, { nowMs, run, stop }: RoundsOptions, states: readonly State[]): Promise<boolean> {
  const fromMs = nowMs();
  try {
    const samples = await run(state.cell);
    if (samples.length === 0) state.barren += 1;
    state.samples.push(...samples);
  } catch (error) {
    if (!stop.aborted && states.every(({ samples }) => samples.length === 0)) throw error;
    if (stop.aborted || error instanceof CubitError) return false;
    throw error;
  }
  state.repeats += 1;
  const costMs = nowMs() - fromMs;
  state.costMs = state.costMs === 0 ? costMs : Math.min(state.costMs, costMs);
  return true;
}

function isOpen({ barren, repeats, samples }: State, options: RoundsOptions): boolean {
  if (barren >= BARREN_MAX || repeats >= options.repeatsMax) return false;
  return repeats < options.repeatsMin || halfWidthOf(samples) > options.halfWidthMax;
}

function halfWidthOf(samples: readonly Sample[]): number {
  const byMetric = Map.groupBy(samples, ({ metric }) => metric);
  if (byMetric.size === 0) return Number.POSITIVE_INFINITY;
  return Math.max(
    ...[...byMetric.values()].map((some) => relativeHalfWidth(some.map(({ observation }) => observation.us))),
  );
}

function result(states: readonly State[], endedBy: Measured['endedBy']): Measured {
  const cells = states
    .filter(({ samples }) => samples.length > 0)
    .map(({ cell, samples }) => ({ cell, samples, halfWidth: halfWidthOf(samples) }));
  return { cells, endedBy };
}

/** Prompt tokens it evaluates at worst. */
function sizeOf(cell: Cell): number {
  if (cell.kind === 'first') return cell.promptTokens + cell.cachedTokens;
  return cell.batch * cell.contextTokens + (cell.kind === 'mixed' ? cell.promptTokens : 0);
}

/** The middle of a cell's values of one metric, in ms; null when it has none. */
export function medianMs(samples: readonly Sample[], metric: Sample['metric']): number | null {
  const values = samples.filter((sample) => sample.metric === metric).map(({ observation }) => observation.us / 1000);
  return values.length === 0 ? null : median(values);
}
