import { NormalEquations } from '../../core/serving/normal-equations.ts';
import type { StepModel } from '../../core/serving/work.ts';
import { type EndedSteps, type EngineConfig, type EngineRequest, simulateEngine } from '../../sim/engine.ts';
import type { LoggedRequest } from './bundle.ts';

/**
 * Calibration of a step model by the stamps of a run's first requests. Each term of the specifications' model gets a
 * factor. The simulator says which steps lie between two stamps of a request, so their terms, summed, must make up the
 * time between them: a least-squares problem with factors ≥ 0, drawn towards 1 because early steps look alike. Other
 * factors change which steps those are, so it is repeated. Method: composition regression (docs/simulator.md).
 */

/** One factor each: a smallest step, what tokens add to it, attended pairs, sequences, context read, the same in mixed steps. */
export type Factors = readonly number[];

export const NO_CHANGE: Factors = [1, 1, 1, 1, 1, 1];

/** How far each factor may plausibly be from 1, standard deviation. */
const SPREADS = [0.2, 0.5, 1, 3, 0.3, 1];
/** Of an observed duration, relative. */
const NOISE = 0.02;
/** Residuals beyond so many standard deviations count linearly, not squared. */
const HUBER = 2;
const QUEUE_WEIGHT = 0.5;
const ROUNDS = 12;
const DAMPING = 0.6;
/** Stamps before have warm-up in them, seconds after the first. */
const WARM_UP_S = 1.5;

/** The model of `config` with each term times its factor. */
export function scaledConfig(config: EngineConfig, factors: Factors): EngineConfig {
  const stepAt = config.stepAt ?? (() => config.step);
  const smallest = stepAt(1, 1).tau0Us;
  const [fixed, tokens, pairs, sequences, context, mixed] = factors as [number, number, number, number, number, number];
  const scaled = (count: number, rankCount: number): StepModel => {
    const model = stepAt(count, rankCount);
    return {
      tau0Us: fixed * smallest + tokens * (model.tau0Us - smallest),
      tau1Us: tokens * model.tau1Us,
      tau2Us: pairs * model.tau2Us,
      tau3Us: sequences * model.tau3Us,
      tau4Us: context * model.tau4Us,
      tau5Us: mixed * model.tau5Us,
    };
  };
  return { ...config, step: scaled(1, 1), stepAt: scaled };
}

/** Factors from the stamps of the first `count` requests; lengths and arrivals of all enter as load. */
export function calibrate(
  config: EngineConfig,
  requests: readonly EngineRequest[],
  stamps: readonly LoggedRequest[],
  count: number,
): Factors {
  let factors = NO_CHANGE;
  let best = factors;
  let bestMisfit = Number.POSITIVE_INFINITY;
  for (let round = 0; round <= ROUNDS; round += 1) {
    const rows = rowsOf(config, factors, requests, stamps.slice(0, count));
    if (rows.length === 0) return NO_CHANGE;
    const residuals = rows.map((row) => residualOf(row, factors));
    const misfit = Math.sqrt(residuals.reduce((sum, residual) => sum + residual ** 2, 0) / rows.length);
    if (misfit < bestMisfit) {
      bestMisfit = misfit;
      best = factors;
    }
    const solved = solve(rows, residuals);
    factors = factors.map((factor, index) => factor + DAMPING * ((solved[index] as number) - factor));
  }
  return best;
}

/** Between two stamps of one request: milliseconds that the specifications' terms make, and that the log shows. */
interface Composition {
  readonly terms: readonly number[];
  readonly observedMs: number;
  readonly weight: number;
}

function rowsOf(
  config: EngineConfig,
  factors: Factors,
  requests: readonly EngineRequest[],
  stamps: readonly LoggedRequest[],
): Composition[] {
  const sums = new TermSums(config);
  const run = simulateEngine(scaledConfig(config, factors), requests, (ended) => sums.add(ended));
  const startS = Math.min(...stamps.map(({ queuedS }) => queuedS));
  return stamps.flatMap(({ firstTokenS, lastTokenS, queuedS }, index) => {
    if (queuedS - startS < WARM_UP_S) return [];
    const { drainedMs, e2eMs, ttftMs } = run.requests[index]!;
    const { atMs } = requests[index]!;
    const row = (fromMs: number, untilMs: number, observedMs: number, weight: number): Composition[] =>
      observedMs > 0 ? [{ terms: sums.between(atMs + fromMs, atMs + untilMs), observedMs, weight }] : [];
    return [
      ...row(ttftMs, e2eMs, (lastTokenS - firstTokenS) * 1000, 1),
      ...row(drainedMs, ttftMs, (firstTokenS - queuedS) * 1000, QUEUE_WEIGHT),
    ];
  });
}

function residualOf({ observedMs, terms }: Composition, factors: Factors): number {
  return terms.reduce((sum, ms, index) => sum + ms * (factors[index] as number), 0) / observedMs - 1;
}

function solve(rows: readonly Composition[], residuals: readonly number[]): number[] {
  const equations = new NormalEquations(SPREADS.length);
  for (const [index, { observedMs, terms, weight }] of rows.entries()) {
    const distance = Math.abs(residuals[index] as number) / NOISE;
    const huber = distance > HUBER ? HUBER / distance : 1;
    equations.add({ features: terms, target: observedMs, weight: (weight * huber) / (NOISE * observedMs) ** 2 });
  }
  for (const [index, spread] of SPREADS.entries()) {
    equations.add({
      features: SPREADS.map((_, other) => (other === index ? 1 : 0)),
      target: 1,
      weight: 1 / spread ** 2,
    });
  }
  return equations.solve();
}

/** Milliseconds of each term of the specifications' model, summed over the steps that have ended. */
class TermSums {
  readonly #stepAt: (tokens: number, rankTokens: number) => StepModel;
  readonly #smallestUs: number;
  readonly #endsMs: number[] = [];
  readonly #sums: number[][] = [];

  constructor(config: EngineConfig) {
    this.#stepAt = config.stepAt ?? (() => config.step);
    this.#smallestUs = this.#stepAt(1, 1).tau0Us;
  }

  add({ attendedPairs, contextTokens, decodes, endMs, mixed, rankTokens, steps, tokens }: EndedSteps): void {
    const model = this.#stepAt(tokens, rankTokens);
    const before = this.#sums.at(-1) ?? SPREADS.map(() => 0);
    const prefilled = steps * rankTokens - decodes;
    const us = [
      steps * this.#smallestUs,
      steps * (model.tau0Us - this.#smallestUs) + model.tau1Us * prefilled,
      attendedPairs * model.tau2Us,
      decodes * model.tau3Us,
      contextTokens * model.tau4Us,
      mixed ? contextTokens * model.tau5Us : 0,
    ];
    this.#endsMs.push(endMs);
    this.#sums.push(us.map((value, index) => (before[index] as number) + value / 1000));
  }

  between(fromMs: number, untilMs: number): number[] {
    const from = this.#until(fromMs);
    const until = this.#until(untilMs);
    return SPREADS.map((_, index) => (until?.[index] ?? 0) - (from?.[index] ?? 0));
  }

  /** Sums over the steps that ended by then. Stamps are ends of steps, so only rounding of a sum must be forgiven. */
  #until(ms: number): readonly number[] | undefined {
    let low = 0;
    let high = this.#endsMs.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#endsMs[middle] as number) <= ms + 1e-6) low = middle + 1;
      else high = middle;
    }
    return this.#sums[low - 1];
  }
}
