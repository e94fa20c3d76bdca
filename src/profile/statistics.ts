import { median } from '../core/statistics.ts';

/** The middle value; of an even number, the mean of the middle two. NaN of nothing. */

/** The value that a share of them does not exceed. NaN of nothing. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Standard error of a median ÷ that of a mean, of normal values. */
const MEDIAN_ERROR = 1.2533;
const NORMAL_95 = 1.96;

/**
 * Half the width of the 95 % confidence interval of the median, as a share of it; the spread is the median absolute
 * deviation, which a few spoilt values do not move. Infinite with fewer than two values.
 */
export function relativeHalfWidth(values: readonly number[]): number {
  if (values.length < 2) return Number.POSITIVE_INFINITY;
  const centre = median(values);
  const spread = 1.4826 * median(values.map((value) => Math.abs(value - centre)));
  return (NORMAL_95 * MEDIAN_ERROR * spread) / Math.sqrt(values.length) / centre;
}

/** Fisher–Yates. */
export function shuffled<T>(values: readonly T[], random: () => number): T[] {
  const result = [...values];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const pick = Math.floor(random() * (last + 1));
    [result[last], result[pick]] = [result[pick]!, result[last]!];
  }
  return result;
}
