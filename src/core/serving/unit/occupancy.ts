/**
 * How many sequences a unit holds. They share the unit, and the more they are the more it does, for the fixed time of a
 * step is shared: in state i it completes a request every workS(i) seconds. Such a processor-sharing queue has a product
 * form that depends on the lengths through their mean only (F. P. Kelly, Reversibility and Stochastic Networks, 1979,
 * §3.3; J. W. Cohen, The multiple phase service network with generalized processor sharing, 1979):
 *
 *     p(i) ∝ Π_{j=1…i} λ·workS(j)        i ≤ B
 *
 * λ arrivals per second (Poisson). Beyond B requests wait in order of arrival; there the ratio of neighbouring states is
 * constant, which is exact for exponential lengths.
 */
export interface Occupancy {
  /** p(0) … p(B), the last with everything beyond. */
  readonly shares: readonly number[];
  /** Mean of sequences that hold a place. */
  readonly running: number;
  /** Variance of it. */
  readonly runningVariance: number;
  /** Others that a request finds when it comes in, mean: at most B − 1. */
  readonly others: number;
  /** Share of arrivals that find all B places taken. */
  readonly waitShare: number;
  /** Ratio of neighbouring states beyond B, below 1. */
  readonly fullRatio: number;
  /** Mean wait of those, seconds, before any correction for how lengths vary. */
  readonly waitS: number;
}

/** null when more arrives than B together can serve: there is no steady state. `workS(i)` in seconds, i = 1 … B. */
export function occupancyOf(arrivalsPerS: number, batch: number, workS: (running: number) => number): Occupancy | null {
  const fullRatio = arrivalsPerS * workS(batch);
  if (!(fullRatio < 1)) return null;
  const logs = [0];
  for (let i = 1; i <= batch; i += 1) logs.push((logs[i - 1] as number) + Math.log(arrivalsPerS * workS(i)));
  const top = Math.max(...logs);
  const weights = logs.map((log) => Math.exp(log - top));
  weights[batch] = (weights[batch] as number) / (1 - fullRatio);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const shares = weights.map((weight) => weight / total);
  const running = shares.reduce((sum, share, i) => sum + share * i, 0);
  return {
    shares,
    running,
    runningVariance: shares.reduce((sum, share, i) => sum + share * (i - running) ** 2, 0),
    others: shares.reduce((sum, share, i) => sum + share * Math.min(i, batch - 1), 0),
    waitShare: shares[batch] as number,
    fullRatio,
    waitS: workS(batch) / (1 - fullRatio),
  };
}
