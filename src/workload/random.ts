/** A source of randomness, uniform on [0, 1). Whoever draws passes one in, so that a seed decides the whole workload. */
export type Random = () => number;

/** mulberry32: a small seeded generator, uniform on [0, 1). The same seed gives the same workload anywhere. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed of its own for part `index` of a workload, far from its neighbours' (splitmix32's finaliser). */
export function childSeed(seed: number, index: number): number {
  let mixed = (seed ^ Math.imul(index + 1, 0x9e3779b9)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Exponential with mean 1. */
export function exponential(random: Random): number {
  return -Math.log(1 - random());
}

/** Standard normal (Box and Muller 1958, one of the pair). */
export function normal(random: Random): number {
  return Math.sqrt(2 * exponential(random)) * Math.cos(2 * Math.PI * random());
}

/**
 * Gamma with the given shape and mean 1. Marsaglia and Tsang 2000; shapes below 1 by their boost
 * Γ(a) = Γ(a + 1)·U^(1/a).
 */
export function gamma(shape: number, random: Random): number {
  if (shape < 1) return (gamma(shape + 1, random) * (shape + 1) * (1 - random()) ** (1 / shape)) / shape;
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < (x * x) / 2 + d - d * v + d * Math.log(v)) return (d * v) / shape;
  }
}

/** Weibull with the given shape and mean 1. */
export function weibull(shape: number, random: Random): number {
  return exponential(random) ** (1 / shape) / Math.exp(logGamma(1 + 1 / shape));
}

/** The Weibull shape whose coefficient of variation is `cv`: cv² = Γ(1 + 2/k) ÷ Γ(1 + 1/k)² − 1, solved by bisection. */
export function weibullShapeOfCv(cv: number): number {
  let low = Math.log(0.05);
  let high = Math.log(200);
  for (let step = 0; step < 60; step += 1) {
    const middle = (low + high) / 2;
    if (weibullCv(Math.exp(middle)) > cv) low = middle;
    else high = middle;
  }
  return Math.exp((low + high) / 2);
}

function weibullCv(shape: number): number {
  return Math.sqrt(Math.expm1(logGamma(1 + 2 / shape) - 2 * logGamma(1 + 1 / shape)));
}

/** ln Γ(x) for x > 0: Stirling's series after shifting x above 8; relative error below 1e-10. */
function logGamma(x: number): number {
  let shift = 0;
  let at = x;
  while (at < 8) {
    shift += Math.log(at);
    at += 1;
  }
  const inverse = 1 / at;
  const series = inverse * (1 / 12 - inverse ** 2 * (1 / 360 - inverse ** 2 / 1260));
  return (at - 0.5) * Math.log(at) - at + 0.5 * Math.log(2 * Math.PI) + series - shift;
}

/** Draws values with given weights. Built once, then a binary search for each draw. */
export class Weighted {
  readonly #values: readonly number[];
  readonly #cumulative: Float64Array;

  /** Weights need not add up to 1. Throws a RangeError without a positive weight. */
  constructor(entries: readonly (readonly [value: number, weight: number])[]) {
    this.#values = entries.map(([value]) => value);
    this.#cumulative = new Float64Array(entries.length);
    let sum = 0;
    for (const [index, [, weight]] of entries.entries()) this.#cumulative[index] = sum += weight;
    if (!(sum > 0)) throw new RangeError('A distribution needs a positive weight.');
  }

  draw(random: Random): number {
    const wanted = random() * (this.#cumulative.at(-1) as number);
    let low = 0;
    let high = this.#cumulative.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#cumulative[middle] as number) > wanted) high = middle;
      else low = middle + 1;
    }
    return this.#values[low] as number;
  }

  mean(): number {
    let sum = 0;
    let before = 0;
    for (const [index, cumulative] of this.#cumulative.entries()) {
      sum += (this.#values[index] as number) * (cumulative - before);
      before = cumulative;
    }
    return sum / before;
  }
}
