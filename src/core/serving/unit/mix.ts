import { CubitError } from '../../errors.ts';
import { type StepModel, type WorkCoefficients, workOf } from '../work.ts';

/** Lengths of a request, tokens; `cachedTokens` of the prompt are served from a prefix cache. */
export interface Shape {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** One kind of request and its share of all, by any positive weight. */
export interface LengthClass extends Shape {
  readonly weight: number;
}

/** A traffic's lengths: kinds of requests that come mixed, independent of each other. */
export type LengthMix = readonly LengthClass[];

/** Standard deviation over mean, of prompts and of outputs. */
export interface Spread {
  readonly prompt: number;
  readonly output: number;
}

/** Normal quantiles at the middles of five equally likely parts: −1.28, −0.52, 0, 0.52, 1.28. */
const MIDDLES = [-1.2815516, -0.5244005, 0, 0.5244005, 1.2815516];
const TOKENS_MAX = 1e8;

/** All requests alike, or spread: prompts and outputs log-normal and independent, each in five equally likely lengths. */
export function mixOf(shape: Shape, spread: Spread = { prompt: 0, output: 0 }): LengthMix {
  if (spread.prompt === 0 && spread.output === 0) return [{ ...shape, weight: 1 }];
  const cachedShare = shape.promptTokens === 0 ? 0 : shape.cachedTokens / shape.promptTokens;
  return factors(spread.prompt).flatMap((prompt) =>
    factors(spread.output).map((output) => ({
      promptTokens: Math.max(1, shape.promptTokens * prompt),
      cachedTokens: shape.promptTokens * prompt * cachedShare,
      outputTokens: Math.max(1, shape.outputTokens * output),
      weight: 1,
    })),
  );
}

/** Five factors of mean 1 with about the coefficient of variation `cv`, log-normal. */
function factors(cv: number): number[] {
  if (cv === 0) return [1];
  const sigma = Math.sqrt(Math.log(1 + cv * cv));
  const raw = MIDDLES.map((z) => Math.exp(sigma * z));
  const mean = raw.reduce((sum, value) => sum + value, 0) / raw.length;
  return raw.map((value) => value / mean);
}

/** Throws `invalid_request` on an empty mix, and on figures that are negative, not finite or beyond 10⁸ tokens. */
export function checkMix(mix: LengthMix): void {
  if (mix.length === 0) throw new CubitError('invalid_request', 'The traffic has no requests.');
  for (const { promptTokens, cachedTokens, outputTokens, weight } of mix) {
    const sound =
      [promptTokens, cachedTokens, outputTokens].every((tokens) => tokens >= 0 && tokens <= TOKENS_MAX) &&
      promptTokens + outputTokens > 0 &&
      cachedTokens <= promptTokens &&
      weight > 0 &&
      weight < Number.POSITIVE_INFINITY;
    if (!sound) {
      throw new CubitError(
        'invalid_request',
        `A request of ${promptTokens} input tokens (${cachedTokens} of them cached) and ${outputTokens} output tokens cannot be: ` +
          `lengths go from 0 to ${TOKENS_MAX} tokens, cached ones count among the input, weights are positive.`,
      );
    }
  }
}

/** Mean of a figure over the mix. */
export function meanOver(mix: LengthMix, figure: (shape: Shape) => number): number {
  let sum = 0;
  let weights = 0;
  for (const kind of mix) {
    sum += kind.weight * figure(kind);
    weights += kind.weight;
  }
  return sum / weights;
}

/** Prefill of one request alone, µs: p0 + τ1·u + τ2·A with u tokens that no cache holds. */
export function prefillUsOf(step: StepModel, prefillFixedUs: number, shape: Shape): number {
  const { promptTokens: n, cachedTokens: h } = shape;
  return prefillFixedUs + step.tau1Us * (n - h) + (step.tau2Us * (n * n - h * h)) / 2;
}

/** Mean work of a request of the mix, µs. */
export function meanWorkUs(coefficients: WorkCoefficients, mix: LengthMix): { prefillUs: number; decodeUs: number } {
  return {
    prefillUs: meanOver(mix, (shape) => workOf(coefficients, shape).prefillUs),
    decodeUs: meanOver(mix, (shape) => workOf(coefficients, shape).decodeUs),
  };
}

/** Mean of input plus output tokens. */
export function meanTokens(mix: LengthMix): number {
  return meanOver(mix, ({ promptTokens, outputTokens }) => promptTokens + outputTokens);
}
