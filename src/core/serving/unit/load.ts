import type { StepModel } from '../work.ts';
import { type LengthMix, meanOver, prefillUsOf, type Shape } from './mix.ts';

/** What one unit of a template is at a tier. */
export interface UnitFacts {
  readonly step: StepModel;
  /** Paid once per request, µs. */
  readonly prefillFixedUs: number;
  /** Tokens that the KV cache of one unit holds. */
  readonly kvTokensPerUnit: number;
  /** Sequences decoded together at the tier (B*). */
  readonly batch: number;
  /** Prompt tokens plus decoding sequences that one step takes at most. */
  readonly stepTokensMax: number;
  /** Prefill has machines of its own, so that it does not hold up decoding. */
  readonly disaggregated: boolean;
}

/** A mix at a rate on a unit, and the moments that all formulas share; seconds. */
export interface UnitLoad {
  readonly unit: UnitFacts;
  readonly mix: LengthMix;
  readonly requestsPerS: number;
  /** Output tokens after the first, mean: each takes a decode step. */
  readonly steps: number;
  /** Mean context of a decoding sequence: long outputs stay longer and weigh more. */
  readonly contextTokens: number;
  /** What each further sequence adds to a step. */
  readonly sequenceS: number;
  readonly stepFixedS: number;
  /** Prefill of one request: mean, mean square, mean cube. */
  readonly prefillS: number;
  readonly prefillS2: number;
  readonly prefillS3: number;
  /** Share of time that prefill takes: λ·W. */
  readonly prefillShare: number;
}

export function loadOf(unit: UnitFacts, mix: LengthMix, requestsPerS: number): UnitLoad {
  const steps = meanOver(mix, decodeSteps);
  const held = meanOver(mix, (shape) => decodeSteps(shape) * (shape.promptTokens + shape.outputTokens / 2));
  const contextTokens = steps === 0 ? 0 : held / steps;
  const moment = (power: number) => meanOver(mix, (shape) => prefillSOf(unit, shape) ** power);
  const prefillS = moment(1);
  return {
    unit,
    mix,
    requestsPerS,
    steps,
    contextTokens,
    sequenceS: (unit.step.tau3Us + unit.step.tau4Us * contextTokens) / 1e6,
    stepFixedS: unit.step.tau0Us / 1e6,
    prefillS,
    prefillS2: moment(2),
    prefillS3: moment(3),
    prefillShare: requestsPerS * prefillS,
  };
}

export function decodeSteps({ outputTokens }: Shape): number {
  return Math.max(0, outputTokens - 1);
}

export function prefillSOf(unit: UnitFacts, shape: Shape): number {
  return prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6;
}

/** Time that a unit works for one request while it holds `running`: prefill, and decode steps shared by all of them. */
export function workSOf(load: UnitLoad, running: number): number {
  const decodeS = load.steps * (load.stepFixedS / running + load.sequenceS);
  return load.unit.disaggregated ? decodeS : load.prefillS + mixedS(load, running) + decodeS;
}

/** What τ5 adds: each prefill step reads the context of all that decode more slowly, once per chunk. */
function mixedS(load: UnitLoad, running: number): number {
  const { tau5Us } = load.unit.step;
  if (tau5Us === 0) return 0;
  const chunks = meanOver(load.mix, (shape) => chunksOf(load.unit, running, shape));
  return (tau5Us * load.contextTokens * running * chunks) / 1e6;
}

/** Steps over which a prompt is spread while `running` others decode. */
export function chunksOf(unit: UnitFacts, running: number, shape: Shape): number {
  return Math.max(1, Math.ceil((shape.promptTokens - shape.cachedTokens) / roomTokens(unit, running)));
}

/** Prompt tokens that fit into a step. */
export function roomTokens({ stepTokensMax }: UnitFacts, running: number): number {
  return Math.max(1, stepTokensMax - running);
}
