import { chunksOf, type UnitLoad } from './load.ts';
import { meanOver, prefillUsOf, type Shape } from './mix.ts';
import type { Occupancy } from './occupancy.ts';
import { type Component, mixtureQuantile } from './quantile.ts';

export interface Latency {
  readonly mean: number;
  readonly p50: number;
  readonly p95: number;
}

/**
 * Time per output token of a request, ms. The mean follows from Little's law (running = rate × steps × time per step).
 * Around it: how many others run changes while a request is there, averaged over its stay; and the prefills that fall
 * into its stay, a compound Poisson sum. null when no output is longer than one token.
 */
export function decodeLatency(load: UnitLoad, occupancy: Occupancy): Latency | null {
  const { decode, mix, requestsPerS, unit } = load;
  const long = mix.filter(({ outputTokens }) => outputTokens > 1);
  if (long.length === 0) return null;
  const meanS = occupancy.running / (requestsPerS * decode.steps);
  const floorS = Math.min(meanS, (unit.step.tau0Us + decode.sequenceUs) / 1e6);
  const sequenceS = decode.sequenceUs / 1e6;
  // Occupancy forgets over about half a request's stay, longer the more one more sequence slows all.
  const slowing = (sequenceS * occupancy.running) / (unit.step.tau0Us / 1e6 + sequenceS * (occupancy.running + 1));
  const stepsSquared = meanOver(mix, ({ outputTokens }) => outputTokens ** 2);
  const memorySteps = Math.max(1, stepsSquared / (2 * decode.steps)) / Math.max(0.1, 1 - slowing);
  const slowed = unit.disaggregated ? 1 : meanS / Math.max(floorS, pureStepS(load, occupancy.running));
  const runningVariance = (sequenceS * slowed) ** 2 * occupancy.runningVariance;
  const hitS2 = unit.disaggregated ? 0 : requestsPerS * meanS * prefillMoment(load, 2);
  const components: Component[] = long.map(({ outputTokens, weight }) => {
    const steps = outputTokens - 1;
    const variance = runningVariance * averagedShare(steps / memorySteps) + hitS2 / steps;
    return { weight, floor: floorS, mean: meanS, variance };
  });
  return inMs(meanS, components);
}

/** Variance of a mean over a stay against that of one look, for an exponential memory; x = stay ÷ memory. */
function averagedShare(x: number): number {
  return x < 1e-3 ? 1 : (2 * (x - 1 + Math.exp(-x))) / (x * x);
}

function pureStepS({ decode, unit }: UnitLoad, running: number): number {
  return (unit.step.tau0Us + decode.sequenceUs * running) / 1e6;
}

/** Moments of one request's prefill alone, seconds^power. */
function prefillMoment({ mix, unit }: UnitLoad, power: number): number {
  return meanOver(mix, (shape) => (prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6) ** power);
}

/**
 * Time to the first token, ms. A step takes all prompts that came during the one before (a gated queue with vacations:
 * H. Takagi, Queueing Analysis 1, 1991, §5; the vacation is the step's decode part V):
 *
 *     cycle C: mean V ÷ (1 − ρ), variance (Var V + λ·E[x²]·C) ÷ (1 − ρ²)
 *     TTFT = rest of the running cycle + V + own prefill + prefill of those that came in the same cycle
 *
 * x is a request's prefill with the decode parts of its further chunks, ρ = λ·E[x]. An idle unit starts at once; when
 * all places are taken, the wait for one comes first (exponential; varying lengths by the factor (1 + c²)/2 of Lee and
 * Longton, 1959).
 */
export function prefillLatency(load: UnitLoad, occupancy: Occupancy): Latency {
  return load.unit.disaggregated ? ownPoolLatency(load) : sharedPoolLatency(load, occupancy);
}

function sharedPoolLatency(load: UnitLoad, occupancy: Occupancy): Latency {
  const { decode, mix, requestsPerS, unit } = load;
  const running = occupancy.running;
  const vacationS = pureStepS(load, running);
  const vacationVariance = (decode.sequenceUs / 1e6) ** 2 * occupancy.runningVariance;
  const serviceS = (shape: Shape) =>
    prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6 + (chunksOf(unit, running, shape) - 1) * vacationS;
  const service2 = meanOver(mix, (shape) => serviceS(shape) ** 2);
  const rho = Math.min(0.99, requestsPerS * meanOver(mix, serviceS));
  const cycleS = vacationS / (1 - rho);
  const cycle2 = cycleS ** 2 + (vacationVariance + requestsPerS * service2 * cycleS) / (1 - rho ** 2);
  const seenS = cycle2 / cycleS;
  // Behind a prompt of several chunks nobody shares its last step; behind a short one all do.
  const sharing = meanOver(mix, (shape) => 1 / chunksOf(unit, running, shape));
  const othersS = rho * seenS * ((1 + sharing) / 2);
  const restVariance = seenS ** 2 / 12 + requestsPerS * seenS * service2 + vacationVariance;
  const idleShare = occupancy.shares[0] as number;
  const stepsVariation = variation(mix, ({ outputTokens }) => Math.max(1, outputTokens));
  const slotS = (occupancy.waitS * (1 + stepsVariation)) / 2;
  const idleVacationS = unit.step.tau0Us / 1e6;
  const components = mix.flatMap((shape): Component[] => {
    const ownS = serviceS(shape);
    const busyS = vacationS + ownS;
    const restS = seenS / 2 + othersS;
    const idle = idleVacationS + prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6;
    return [
      { weight: shape.weight * idleShare, floor: idle, mean: idle, variance: 0 },
      {
        weight: shape.weight * (1 - idleShare - occupancy.waitShare),
        floor: busyS,
        mean: busyS + restS,
        variance: restVariance,
      },
      {
        weight: shape.weight * occupancy.waitShare,
        floor: busyS,
        mean: busyS + restS + slotS,
        variance: restVariance + slotS ** 2,
      },
    ].filter(({ weight }) => weight > 0);
  });
  return inMs(mixtureMean(components), components);
}

/** Machines that only prefill, in order of arrival: M/G/1, wait λ·E[x²] ÷ 2(1 − ρ) (Pollaczek–Khinchine). */
function ownPoolLatency(load: UnitLoad): Latency {
  const { mix, requestsPerS, unit } = load;
  const rho = requestsPerS * prefillMoment(load, 1);
  const waitS = (requestsPerS * prefillMoment(load, 2)) / (2 * (1 - rho));
  const wait2 = 2 * waitS ** 2 + (requestsPerS * prefillMoment(load, 3)) / (3 * (1 - rho));
  const components = mix.flatMap((shape): Component[] => {
    const ownS = prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6;
    // Only the share ρ waits at all.
    const waiting = { mean: ownS + waitS / rho, variance: wait2 / rho - (waitS / rho) ** 2 };
    return [
      { weight: shape.weight * (1 - rho), floor: ownS, mean: ownS, variance: 0 },
      { weight: shape.weight * rho, floor: ownS, ...waiting },
    ];
  });
  return inMs(mixtureMean(components), components);
}

/** Squared coefficient of variation of a figure over the mix. */
function variation(mix: UnitLoad['mix'], figure: Parameters<typeof meanOver>[1]): number {
  const mean = meanOver(mix, figure);
  return meanOver(mix, (shape) => figure(shape) ** 2) / mean ** 2 - 1;
}

function mixtureMean(components: readonly Component[]): number {
  let sum = 0;
  let weights = 0;
  for (const { mean, weight } of components) {
    sum += weight * mean;
    weights += weight;
  }
  return sum / weights;
}

function inMs(meanS: number, components: readonly Component[]): Latency {
  return {
    mean: meanS * 1e3,
    p50: mixtureQuantile(components, 0.5) * 1e3,
    p95: mixtureQuantile(components, 0.95) * 1e3,
  };
}
