import { mean } from '../../core/statistics.ts';

/** Absolute relative errors of predictions, in percent; null over no rows. */
export interface Errors {
  readonly medianApePct: number | null;
  readonly mapePct: number | null;
}

export function errorsOf(ratios: readonly number[]): Errors {
  const shares = ratios.map((ratio) => Math.abs(ratio - 1) * 100);
  return { medianApePct: quantile(shares, 0.5), mapePct: shares.length === 0 ? null : round(mean(shares)) };
}

/** Quantile by linear interpolation, rounded to 0.01; null of nothing. */
export function quantile(values: readonly number[], q: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * q;
  const below = Math.floor(at);
  const low = sorted[below]!;
  const high = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return round(low + (high - low) * (at - below));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
