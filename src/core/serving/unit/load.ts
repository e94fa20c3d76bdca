import type { StepModel } from '../work.ts';
import { type LengthMix, meanOver, prefillUsOf, type Shape } from './mix.ts';

/** What one unit of a template does at a tier. */
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

/** Time of decoding, and what it depends on; µs. */
export interface DecodeLoad {
  /** Steps in which a request holds a place, mean: its first token's and the rest. */
  readonly steps: number;
  /** Mean context of a decoding sequence: long outputs stay longer and weigh more. */
  readonly contextTokens: number;
  /** Each further sequence adds this to a step. */
  readonly sequenceUs: number;
}

export interface UnitLoad {
  readonly unit: UnitFacts;
  readonly mix: LengthMix;
  readonly requestsPerS: number;
  readonly decode: DecodeLoad;
}

export function decodeLoadOf({ step, disaggregated }: UnitFacts, mix: LengthMix): DecodeLoad {
  const stepsOf = ({ outputTokens }: Shape) => Math.max(disaggregated ? 0 : 1, outputTokens - (disaggregated ? 1 : 0));
  const steps = meanOver(mix, stepsOf);
  const held = meanOver(mix, (shape) => stepsOf(shape) * (shape.promptTokens + shape.outputTokens / 2));
  const contextTokens = steps === 0 ? 0 : held / steps;
  return { steps, contextTokens, sequenceUs: step.tau3Us + step.tau4Us * contextTokens };
}

/** Mean time of a step while `running` sequences decode, prefill between them included, in seconds. */
export function stepSOf({ unit, mix, requestsPerS, decode }: UnitLoad, running: number): number {
  const pureS = (unit.step.tau0Us + decode.sequenceUs * running) / 1e6;
  if (unit.disaggregated) return pureS;
  const prefillShare =
    requestsPerS * meanOver(mix, (shape) => prefillUsOf(unit.step, unit.prefillFixedUs, shape) / 1e6);
  const mixedS = (unit.step.tau5Us * decode.contextTokens * running) / 1e6;
  const chunks = meanOver(mix, (shape) => chunksOf(unit, running, shape));
  let stepS = pureS / (1 - prefillShare);
  if (mixedS === 0) return stepS;
  for (let round = 0; round < 4; round += 1) {
    const mixedShare = 1 - Math.exp(-requestsPerS * chunks * stepS);
    stepS = (pureS + mixedS * mixedShare) / (1 - prefillShare);
  }
  return stepS;
}

/** Steps over which a prompt is spread. */
export function chunksOf({ stepTokensMax }: UnitFacts, running: number, shape: Shape): number {
  return Math.max(1, Math.ceil((shape.promptTokens - shape.cachedTokens) / Math.max(1, stepTokensMax - running)));
}
