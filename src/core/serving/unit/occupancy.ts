/**
 * How many sequences a unit runs. Decoding together is processor sharing with a service rate that depends on how many
 * share: in state i each sequence gets a token every stepS(i) seconds. Such a queue has a product form that does not
 * depend on the distribution of lengths beyond its mean (F. P. Kelly, Reversibility and Stochastic Networks, 1979, §3.3;
 * J. W. Cohen, The multiple phase service network with generalized processor sharing, 1979):
 *
 *     p(i) ∝ Π_{j=1…i} λ·m·stepS(j) / j        i ≤ B
 *
 * λ arrivals per second (Poisson), m steps of a request. Beyond B requests wait in order of arrival; there the ratio of
 * neighbouring states is constant, which is exact for exponential lengths.
 */
export interface Occupancy {
  /** p(0) … p(B), the last with everything beyond. */
  readonly shares: readonly number[];
  /** Mean of sequences that run. */
  readonly running: number;
  /** Variance of it. */
  readonly runningVariance: number;
  /** Share of arrivals that find all B places taken. */
  readonly waitShare: number;
  /** Mean wait of those, seconds, before any correction for how lengths vary. */
  readonly waitS: number;
}

/** null when more arrives than B together can serve: there is no steady state. `stepS(i)` in seconds, i = 1 … B. */
export function occupancyOf(
  arrivalsPerS: number,
  steps: number,
  batch: number,
  stepS: (running: number) => number,
): Occupancy | null {
  const logs = [0];
  for (let i = 1; i <= batch; i += 1) {
    const before = logs[i - 1] as number;
    logs.push(before + Math.log((arrivalsPerS * steps * stepS(i)) / i));
  }
  const full = stepS(batch);
  const ratio = (arrivalsPerS * steps * full) / batch;
  if (!(ratio < 1)) return null;
  const top = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - top));
  weights[batch] = (weights[batch] as number) / (1 - ratio);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / total);
  const running = shares.reduce((sum, share, i) => sum + share * i, 0);
  return {
    shares,
    running,
    runningVariance: shares.reduce((sum, share, i) => sum + share * (i - running) ** 2, 0),
    waitShare: shares[batch] as number,
    waitS: (steps * full) / (batch * (1 - ratio)),
  };
}
