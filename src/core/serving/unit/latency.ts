import { chunksOf, decodeSteps, prefillSOf, roomTokens, type UnitLoad } from './load.ts';
import { meanOver, type Shape } from './mix.ts';
import type { Occupancy } from './occupancy.ts';
import { type Component, type Latency, latencyOf, mixtureMean } from './quantile.ts';

/**
 * The round of a unit that prefills and decodes: a step takes all prompts that came during the one before, after one
 * token for each sequence. That is a gated queue with vacations (H. Takagi, Queueing Analysis 1, 1991, §5), the
 * vacation being the decode part V of a step. With x a request's prefill (and the decode parts of its further chunks),
 * ρ = λ·E[x], a cycle C from step to step has
 *
 *     mean V ÷ (1 − ρ),   variance (Var V + λ·E[x²]·C) ÷ (1 − ρ²)
 */
interface Round {
  readonly vacationS: number;
  readonly vacationVariance: number;
  readonly cycleS: number;
  /** Mean length of the cycle into which an arrival falls, E[C²] ÷ E[C], and its mean square, E[C³] ÷ E[C]. */
  readonly seenS: number;
  readonly seenS2: number;
  readonly rho: number;
  readonly service2: number;
  /** Share of later arrivals that are served in the same step: all of them with prompts shorter than a step. */
  readonly sharing: number;
}

/** Until its own prefill is over a sequence does not decode: `decoding` of those that hold a place do. */
function roundOf(load: UnitLoad, occupancy: Occupancy, decoding: number): Round {
  const { mix, requestsPerS, unit } = load;
  const others = occupancy.others * decoding;
  const vacationS = Math.max(INSTANT_S, load.stepFixedS + load.sequenceS * others);
  const vacationVariance = (load.sequenceS * decoding) ** 2 * occupancy.runningVariance;
  const serviceS = (shape: Shape) => prefillSOf(unit, shape) + (chunksOf(unit, others, shape) - 1) * vacationS;
  const rho = Math.min(0.98, requestsPerS * meanOver(mix, serviceS));
  const service2 = meanOver(mix, (shape) => serviceS(shape) ** 2);
  const service3 = meanOver(mix, (shape) => serviceS(shape) ** 3);
  const cycleS = vacationS / (1 - rho);
  const variance = (vacationVariance + requestsPerS * service2 * cycleS) / (1 - rho ** 2);
  const skew = (requestsPerS * service3 * cycleS) / (1 - rho ** 3);
  const seenS = cycleS + variance / cycleS;
  const seenS2 = cycleS ** 2 + 3 * variance + skew / cycleS;
  const sharing = meanOver(mix, (shape) => 1 / chunksOf(unit, others, shape));
  return { vacationS, vacationVariance, cycleS, seenS, seenS2, rho, service2, sharing };
}

/** No step is shorter: a step model that has no fixed cost would divide by nothing. */
const INSTANT_S = 1e-9;

interface Latencies {
  readonly ttftMs: Latency;
  /** null when no output is longer than one token. */
  readonly tpotMs: Latency | null;
  /** Sequences that hold a place, mean. */
  readonly running: number;
}

/** Time to the first token and time per token after it, of a unit whose machines do both. */
export function sharedLatencies(load: UnitLoad, occupancy: Occupancy): Latencies {
  let decoding = 1;
  let tpot: Component[] = [];
  let round = roundOf(load, occupancy, decoding);
  let staysS = 0;
  for (let pass = 0; pass < 4; pass += 1) {
    round = roundOf(load, occupancy, decoding);
    tpot = tpotComponents(load, occupancy, round, decoding);
    const prefillingS = firstTokenS(load, round);
    const decodingS = tpot.length === 0 ? 0 : load.steps * mixtureMean(tpot);
    staysS = Math.max(INSTANT_S, decodingS + prefillingS);
    decoding = decodingS / staysS;
  }
  return {
    // Little's law.
    running: Math.min(occupancy.shares.length - 1, load.requestsPerS * staysS),
    ttftMs: latencyOf(ttftComponents(load, occupancy, round), 1e3),
    tpotMs: tpot.length === 0 ? null : latencyOf(tpot, 1e3),
  };
}

/** From a place on a busy unit to the first token, mean. */
function firstTokenS(load: UnitLoad, round: Round): number {
  return round.seenS / 2 + round.vacationS + load.prefillS + othersS(round);
}

/** Prefill of those that came in the same cycle: before this one, and behind it in the same step. */
function othersS({ rho, seenS, sharing }: Round): number {
  return (rho * seenS * (1 + sharing)) / 2;
}

/**
 * TTFT = rest of the running cycle + V + own prefill + prefill of those that came in the same cycle. An idle unit starts
 * at once; when all places are taken, the wait for one comes first (exponential).
 */
function ttftComponents(load: UnitLoad, occupancy: Occupancy, round: Round): Component[] {
  const { mix, requestsPerS, unit } = load;
  const { seenS, seenS2, service2, vacationS, vacationVariance } = round;
  const restS = seenS / 2 + othersS(round);
  // Both the rest of a cycle and who else came in it grow with its length.
  const share = othersS(round) / seenS;
  const lengthVariance = Math.max(seenS ** 2 / 12, (1 / 3 + share + share ** 2) * seenS2 - restS ** 2);
  const restVariance = lengthVariance + requestsPerS * seenS * service2 + vacationVariance;
  const idleShare = occupancy.shares[0] as number;
  const { waitShare } = occupancy;
  const slotS = occupancy.waitS * waitFactor(load, occupancy);
  return mix.flatMap((shape) => {
    const prefillS = prefillSOf(unit, shape);
    const idleS = prefillS + load.stepFixedS * chunksOf(unit, 0, shape);
    const floor = vacationS * chunksOf(unit, occupancy.others, shape) + prefillS;
    const waitVariance = restVariance + slotS ** 2;
    return [
      { weight: shape.weight * idleShare, floor: idleS, mean: idleS, variance: 0 },
      { weight: shape.weight * (1 - idleShare - waitShare), floor, mean: floor + restS, variance: restVariance },
      { weight: shape.weight * waitShare, floor, mean: floor + restS + slotS, variance: waitVariance },
    ].filter(({ weight }) => weight > 0);
  });
}

/**
 * Wait for a place against that with exponential lengths, from the squared variation c² of the decode steps: between
 * Cosmetatos' (1975) for lengths all alike and 1, beyond that (1 + c²)/2 (Lee and Longton, 1959).
 */
function waitFactor({ mix, steps }: UnitLoad, { fullRatio, shares }: Occupancy): number {
  const variation = steps === 0 ? 0 : meanOver(mix, (shape) => decodeSteps(shape) ** 2) / steps ** 2 - 1;
  if (variation >= 1) return (1 + variation) / 2;
  const places = shares.length - 1;
  if (places === 1 || fullRatio === 0) return (1 + variation) / 2;
  const spare = ((1 - fullRatio) * (places - 1) * (Math.sqrt(4 + 5 * places) - 2)) / (16 * fullRatio * places);
  return variation + (1 - variation) * Math.min(1, (1 + spare) / 2);
}

/**
 * A request's decoding is over when (m − 1) steps of V are done besides all prefill that comes in between: a first
 * passage of time minus a compound Poisson sum (mean x ÷ (1 − ρ), variance λ·E[W²]·x ÷ (1 − ρ)³). When it starts, what
 * arrived during its own, long cycle waits already. No step is longer than a full chunk allows, which caps the whole.
 * V varies with how many others run, averaged over the stay.
 */
function tpotComponents(load: UnitLoad, occupancy: Occupancy, round: Round, decoding: number): Component[] {
  const { mix, requestsPerS, sequenceS, unit } = load;
  const others = othersDecoding(load, occupancy, decoding);
  const stepS = load.stepFixedS + sequenceS * (1 + others);
  const rho = Math.min(0.98, load.prefillShare + mixedShare(load, others));
  const freshTokens = meanOver(mix, ({ promptTokens, cachedTokens }) => promptTokens - cachedTokens);
  const chunkS =
    freshTokens === 0 ? Number.POSITIVE_INFINITY : (load.prefillS * roomTokens(unit, others)) / freshTokens;
  // Nor do more prompts come in between than there are other places.
  const slotsS = (occupancy.shares.length - 2) * load.prefillS;
  const memory = memorySteps(load, others);
  return mix.flatMap((shape) => {
    const steps = decodeSteps(shape);
    if (steps === 0) return [];
    const prefillS = prefillSOf(unit, shape);
    const cycleS = round.vacationS + prefillS + othersS(round);
    const wholeS = cycleS + round.seenS / 2;
    const behindS = round.sharing * cycleS + (1 - round.sharing) * wholeS;
    const aheadS = rho * Math.max(0, behindS - round.cycleS);
    const floor = load.stepFixedS + sequenceS;
    const mean = (stepS + aheadS / steps) / (1 - rho);
    const hits = (requestsPerS * load.prefillS2 * (stepS * steps + behindS)) / (steps ** 2 * (1 - rho) ** 3);
    const others2 = (sequenceS * decoding) ** 2 * occupancy.runningVariance * averagedShare(steps / memory);
    const ceiling = stepS + Math.min(chunkS, slotsS / steps);
    return [{ weight: shape.weight, floor, mean, variance: hits + others2 / (1 - rho) ** 2, ceiling }];
  });
}

/**
 * Others that decode while one does. While prompts are worked off decoding nearly stands still, so in its own time those
 * of one busy period of X prompts begin together: X² ÷ X − 1 companions (X of an M/G/1 busy period, Takagi 1991, §1.2),
 * half of whose stay overlaps on average (the batch-arrival queue M^X/M/1), the more the more one more slows all.
 */
function othersDecoding(load: UnitLoad, occupancy: Occupancy, decoding: number): number {
  const others = occupancy.others * decoding;
  const rho = Math.min(0.9, load.prefillShare);
  const startsMean = 1 / (1 - rho);
  const startsVariance = (rho * (1 - rho) + load.requestsPerS ** 2 * load.prefillS2) / (1 - rho) ** 3;
  const companions = startsMean + startsVariance / startsMean - 1;
  const most = occupancy.shares.length - 2;
  return Math.min(most, others + companions / 2 / (1 - slowing(load, others)));
}

/** By how many percent a step gets longer when a percent more sequences run, of 1. */
function slowing({ sequenceS, stepFixedS }: UnitLoad, others: number): number {
  const shared = sequenceS * others;
  return Math.min(0.9, shared / Math.max(INSTANT_S, stepFixedS + sequenceS + shared));
}

/** Share of time that τ5 takes from decoding. */
function mixedShare(load: UnitLoad, others: number): number {
  const { tau5Us } = load.unit.step;
  if (tau5Us === 0) return 0;
  const chunks = meanOver(load.mix, (shape) => chunksOf(load.unit, others, shape));
  return (load.requestsPerS * chunks * tau5Us * load.contextTokens * (1 + others)) / 1e6;
}

/** Steps after which a unit has forgotten how many it held: half a stay, longer the more one more slows all. */
function memorySteps(load: UnitLoad, others: number): number {
  const steps2 = meanOver(load.mix, (shape) => decodeSteps(shape) ** 2);
  return Math.max(1, steps2 / (2 * load.steps)) / (1 - slowing(load, others));
}

/** Variance of a mean over a stay against that of one look, for an exponential memory; x = stay ÷ memory. */
function averagedShare(x: number): number {
  return x < 1e-3 ? 1 : (2 * (x - 1 + Math.exp(-x))) / (x * x);
}

/**
 * Prefill machines serve in order of arrival: M/G/1, wait λ·E[x²] ÷ 2(1 − ρ) (Pollaczek–Khinchine). Decode machines
 * are never held up by prefill.
 */
export function disaggregatedLatencies(load: UnitLoad, occupancy: Occupancy): Latencies {
  const { mix, requestsPerS, sequenceS, unit } = load;
  const rho = load.prefillShare;
  const waitS = (requestsPerS * load.prefillS2) / (2 * (1 - rho));
  const wait2 = 2 * waitS ** 2 + (requestsPerS * load.prefillS3) / (3 * (1 - rho));
  const ttft = mix.flatMap((shape): Component[] => {
    const ownS = prefillSOf(unit, shape);
    const alone = { weight: shape.weight * (1 - rho), floor: ownS, mean: ownS, variance: 0 };
    // Only the share ρ waits at all.
    const waiting = { mean: ownS + waitS / rho, variance: wait2 / rho - (waitS / rho) ** 2 };
    return rho === 0 ? [alone] : [alone, { weight: shape.weight * rho, floor: ownS, ...waiting }];
  });
  const floor = load.stepFixedS + sequenceS;
  const mean = floor + sequenceS * occupancy.others;
  const memory = memorySteps(load, occupancy.others);
  const tpot = mix.flatMap((shape) => {
    const steps = decodeSteps(shape);
    const variance = sequenceS ** 2 * occupancy.runningVariance * averagedShare(steps / memory);
    return steps === 0 ? [] : [{ weight: shape.weight, floor, mean, variance }];
  });
  return {
    running: occupancy.running,
    ttftMs: latencyOf(ttft, 1e3),
    tpotMs: tpot.length === 0 ? null : latencyOf(tpot, 1e3),
  };
}
