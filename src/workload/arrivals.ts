import { exponential, gamma, type Random, weibull, weibullShapeOfCv } from './random.ts';

/**
 * How requests arrive: independent gaps of mean 1/rate. `cv` is the gaps' standard deviation over their mean: 0 constant,
 * 1 Poisson, above 1 bursty.
 */
export type Arrivals =
  | { readonly kind: 'constant' | 'poisson'; readonly ratePerS: number }
  | { readonly kind: 'gamma' | 'weibull'; readonly ratePerS: number; readonly cv: number };

/** Gaps thrown away before time 0, so that a bursty process is in its steady state there and keeps its mean rate. */
const BURN_IN_GAPS = 64;

/** Arrival times in ms from 0 on, without end, for any rate above 0. */
export function* arrivalTimesMs(arrivals: Arrivals, random: Random): Generator<number> {
  const gap = unitGap(arrivals, random);
  const meanMs = 1000 / arrivals.ratePerS;
  if (arrivals.kind === 'constant') {
    for (let index = 0; ; index += 1) yield index * meanMs;
  }
  for (let at = -BURN_IN_GAPS; ; ) {
    at += gap();
    if (at >= 0) yield at * meanMs;
  }
}

/** Arrival times within `spanMs`. */
export function arrivalsWithin(arrivals: Arrivals, spanMs: number, random: Random): number[] {
  const times: number[] = [];
  for (const atMs of arrivalTimesMs(arrivals, random)) {
    if (atMs >= spanMs) break;
    times.push(atMs);
  }
  return times;
}

function unitGap(arrivals: Arrivals, random: Random): () => number {
  switch (arrivals.kind) {
    case 'constant':
      return () => 1;
    case 'poisson':
      return () => exponential(random);
    case 'gamma': {
      const shape = 1 / arrivals.cv ** 2;
      return () => gamma(shape, random);
    }
    case 'weibull': {
      const shape = weibullShapeOfCv(arrivals.cv);
      return () => weibull(shape, random);
    }
  }
}

/** One stretch of a rate that changes over time. `gap` draws gaps of mean 1 in the stretch's own shape. */
export interface Stretch {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly ratePerS: number;
  readonly gap: () => number;
}

/**
 * Arrivals of a renewal process whose rate and shape change: gaps of mean 1 are laid along the integral of the rate, so
 * that a burst goes on over the edge of a stretch and every stretch gets its expected number. Stretches in order of time.
 */
export function* arrivalsAlong(stretches: readonly Stretch[]): Generator<number> {
  let position = 0;
  let next: number | null = null;
  for (const stretch of stretches) {
    if (stretch.ratePerS <= 0) continue;
    next ??= steadyFirst(stretch.gap);
    const end: number = position + (stretch.ratePerS * (stretch.untilMs - stretch.fromMs)) / 1000;
    for (; next < end; next += stretch.gap()) {
      yield stretch.fromMs + ((next - position) / stretch.ratePerS) * 1000;
    }
    position = end;
  }
}

function steadyFirst(gap: () => number): number {
  let at = -BURN_IN_GAPS;
  while (at < 0) at += gap();
  return at;
}
