/** A quantity ≥ `floor` whose part above it has this mean and variance; `weight` is its share in a mixture. */
export interface Component {
  readonly weight: number;
  readonly floor: number;
  readonly mean: number;
  readonly variance: number;
}

/**
 * The q-quantile of a mixture in which each component's part above its floor is log-normal with its mean and variance
 * (two moments matched). Found by bisection on the distribution function.
 */
export function mixtureQuantile(components: readonly Component[], q: number): number {
  const total = components.reduce((sum, { weight }) => sum + weight, 0);
  const below = (x: number) =>
    components.reduce((sum, component) => sum + component.weight * belowOf(component, x), 0) / total;
  let low = Math.min(...components.map(({ floor }) => floor));
  let high = Math.max(...components.map(({ mean, variance }) => mean + 20 * Math.sqrt(variance)));
  for (let round = 0; round < 60 && high - low > 1e-9 * high; round += 1) {
    const middle = (low + high) / 2;
    if (below(middle) < q) low = middle;
    else high = middle;
  }
  return high;
}

function belowOf({ floor, mean, variance }: Component, x: number): number {
  const part = mean - floor;
  if (part <= 0 || variance <= 0) return x >= mean ? 1 : 0;
  if (x <= floor) return 0;
  const sigma2 = Math.log(1 + variance / (part * part));
  return normalBelow((Math.log((x - floor) / part) + sigma2 / 2) / Math.sqrt(sigma2));
}

/** The standard normal distribution function: Abramowitz and Stegun 26.2.17, error below 7.5e-8. */
export function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    0.3989422804014327 *
    Math.exp((-z * z) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z >= 0 ? 1 - tail : tail;
}
