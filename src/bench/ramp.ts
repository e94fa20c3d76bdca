/**
 * The highest load that still meets a target, by doubling and then bisection. Pure: the caller probes a rate and says
 * whether it met. Rates are requests/s.
 */
export interface RampState {
  readonly metPerS: number | null;
  readonly missedPerS: number | null;
  readonly probes: number;
}

export interface RampLimits {
  readonly startPerS: number;
  readonly minPerS: number;
  readonly maxPerS: number;
  readonly probesMax: number;
  /** The search ends when the lowest missed rate is at most this factor above the highest that met. */
  readonly precision: number;
}

export const RAMP_START: RampState = { metPerS: null, missedPerS: null, probes: 0 };

/** The rate to probe next; null when the search is over. */
export function nextRate(state: RampState, limits: RampLimits): number | null {
  if (state.probes >= limits.probesMax) return null;
  const { metPerS, missedPerS } = state;
  if (metPerS === null && missedPerS === null) return limits.startPerS;
  if (metPerS === null) {
    const lower = (missedPerS as number) / 2;
    return (missedPerS as number) <= limits.minPerS ? null : Math.max(limits.minPerS, lower);
  }
  if (missedPerS === null) return metPerS >= limits.maxPerS ? null : Math.min(limits.maxPerS, metPerS * 2);
  if (missedPerS / metPerS <= limits.precision) return null;
  // In the middle by ratio: a rate of 1 and one of 100 are searched alike.
  return Math.sqrt(metPerS * missedPerS);
}

/** The state after a probe. */
export function afterProbe(state: RampState, ratePerS: number, met: boolean): RampState {
  const probes = state.probes + 1;
  return met ? { ...state, probes, metPerS: ratePerS } : { ...state, probes, missedPerS: ratePerS };
}
