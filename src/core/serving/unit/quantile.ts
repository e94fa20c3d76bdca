/**
 * A quantity between `floor` and `ceiling`; without the ceiling its part above the floor would have this mean and
 * variance and be log-normal. `weight` is its share in a mixture.
 */
export interface Component {
  readonly weight: number;
  readonly floor: number;
  readonly mean: number;
  readonly variance: number;
  readonly ceiling?: number;
}

export interface Latency {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
}

/** Mean and quantiles of a mixture, times `factor`. */
export function latencyOf(components: readonly Component[], factor: number): Latency {
  const total = components.reduce((sum, { weight }) => sum + weight, 0);
  const mean = mixtureMean(components);
  const quantile = (q: number) => mixtureQuantile(components, total, q);
  return { mean: mean * factor, p50: quantile(0.5) * factor, p95: quantile(0.95) * factor };
}

export function mixtureMean(components: readonly Component[]): number {
  let sum = 0;
  let weights = 0;
  for (const component of components) {
    sum += component.weight * meanOf(component);
    weights += component.weight;
  }
  return sum / weights;
}

/** Bisection on the distribution function. */
function mixtureQuantile(components: readonly Component[], total: number, q: number): number {
  const below = (x: number) =>
    components.reduce((sum, component) => sum + component.weight * belowOf(component, x), 0) / total;
  let low = Math.min(...components.map(({ floor }) => floor));
  let high = Math.max(...components.map(({ mean, variance }) => mean + 20 * Math.sqrt(variance)));
  for (let round = 0; round < 60 && high - low > 1e-5 * high; round += 1) {
    const middle = (low + high) / 2;
    if (below(middle) < q) low = middle;
    else high = middle;
  }
  return high;
}

function belowOf(component: Component, x: number): number {
  const { ceiling, floor, mean } = component;
  if (ceiling !== undefined && x >= ceiling) return 1;
  const sigma = sigmaOf(component);
  if (sigma === 0) return x >= mean ? 1 : 0;
  return x <= floor ? 0 : normalBelow(Math.log((x - floor) / (mean - floor)) / sigma + sigma / 2);
}

/** E[min(X, ceiling)]: the limited expected value of a log-normal. */
function meanOf(component: Component): number {
  const { ceiling, floor, mean } = component;
  if (ceiling === undefined) return mean;
  const sigma = sigmaOf(component);
  if (sigma === 0 || ceiling <= floor) return Math.min(mean, ceiling);
  const z = Math.log((ceiling - floor) / (mean - floor)) / sigma + sigma / 2;
  return floor + (mean - floor) * normalBelow(z - sigma) + (ceiling - floor) * (1 - normalBelow(z));
}

/** Of the logarithm; 0 when there is nothing above the floor or it does not vary. */
function sigmaOf({ floor, mean, variance }: Component): number {
  const part = mean - floor;
  return part <= 0 || variance <= 0 ? 0 : Math.sqrt(Math.log(1 + variance / (part * part)));
}

/** The standard normal distribution function: Abramowitz and Stegun 26.2.17, error below 7.5e-8. */
function normalBelow(z: number): number {
  const t = 1 / (1 + 0.2316419 * Math.abs(z));
  const tail =
    0.3989422804014327 *
    Math.exp((-z * z) / 2) *
    t *
    (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return z >= 0 ? 1 - tail : tail;
}
