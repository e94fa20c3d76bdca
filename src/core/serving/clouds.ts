import { CubitError } from '../errors.ts';

/**
 * How clouds count provisioned throughput: each kind of token has a weight, weighted tokens in a window over what a unit
 * carries are units, rounded up to what is sold. Weights of a kind that a cloud does not publish are left out, and
 * tokens of that kind cannot be asked for.
 */
export type TokenKind = 'input' | 'cached' | 'audio' | 'output';
export type TokenWeights = { readonly [K in TokenKind]?: number | undefined };

/** `aboveTokens` of input and more. */
interface LongTier {
  readonly aboveTokens: number;
  readonly weights: TokenWeights;
}

export interface CloudModel {
  readonly id: string;
  /** Weighted tokens that a unit carries in the cloud's window. */
  readonly tokensPerUnit: number;
  readonly weights: TokenWeights;
  /** Tiers ascending. `whole_request`: all tokens weigh as the tier the request reaches. `marginal`: only input beyond a threshold does. */
  readonly longContext?:
    | { readonly kind: 'whole_request' | 'marginal'; readonly tiers: readonly LongTier[] }
    | undefined;
  /** The only lengths for which the cloud says what a unit carries. */
  readonly onlyAt?: { readonly input: number; readonly output: number } | undefined;
  readonly sizes: readonly { readonly name: string; readonly minimum: number; readonly step: number }[];
}

/** Tokens of a request by kind; `input` without the cached and the audio ones. Cached ones come first in the prompt. */
export interface CloudRequest {
  readonly input: number;
  readonly cached?: number;
  readonly audio?: number;
  readonly output?: number;
}

export interface CloudUnits {
  /** Before rounding. */
  readonly exact: number;
  readonly sizes: readonly { readonly name: string; readonly units: number }[];
}

/**
 * Units for `requestsPerWindow` such requests in the cloud's window. Throws `unsupported_feature` for a kind of token
 * that has no weight, or lengths for which the cloud says nothing, and `invalid_request` on negative figures.
 */
export function cloudUnits(model: CloudModel, request: CloudRequest, requestsPerWindow: number): CloudUnits {
  const weighted = weightedTokens(model, request);
  if (!(requestsPerWindow >= 0 && requestsPerWindow < 1e12)) {
    throw new CubitError('invalid_request', `${requestsPerWindow} requests cannot be: give 0 or more.`);
  }
  return cloudUnitsFor(model, weighted * requestsPerWindow);
}

/** Units for so many weighted tokens in the cloud's window. */
export function cloudUnitsFor(model: CloudModel, weightedPerWindow: number): CloudUnits {
  const exact = weightedPerWindow / model.tokensPerUnit;
  return {
    exact,
    sizes: model.sizes.map(({ name, minimum, step }) => ({
      name,
      // A hair above a whole number is that number: 0.1 + 0.2.
      units: Math.max(minimum, Math.ceil(exact / step - 1e-9) * step),
    })),
  };
}

/** One request in the cloud's weighted tokens. */
export function weightedTokens(model: CloudModel, request: CloudRequest): number {
  const { audio = 0, cached = 0, input, output = 0 } = request;
  for (const tokens of [audio, cached, input, output]) {
    if (!(tokens >= 0 && tokens < 1e9)) {
      throw new CubitError('invalid_request', `A request of ${tokens} tokens cannot be: give 0 or more.`);
    }
  }
  checkLengths(model, cached + input + audio, output);
  const prompt = cached + input + audio;
  const { longContext } = model;
  const whole = longContext?.kind === 'whole_request' ? reached(longContext.tiers, prompt) : undefined;
  const weights = { ...model.weights, ...whole?.weights };
  const weigh = (kind: TokenKind, tokens: number) => (tokens === 0 ? 0 : tokens * weightOf(model, weights, kind));
  const rest = weigh('audio', audio) + weigh('output', output);
  if (longContext?.kind !== 'marginal') return rest + weigh('cached', cached) + weigh('input', input);
  return rest + marginal(model, 'cached', 0, cached) + marginal(model, 'input', cached, cached + input);
}

/** Tokens from one place in the prompt to another, each at the weight of the tier it stands in. */
function marginal(model: CloudModel, kind: TokenKind, from: number, to: number): number {
  const tiers = [{ aboveTokens: 0, weights: model.weights }, ...(model.longContext?.tiers ?? [])];
  return tiers.reduce((sum, tier, index) => {
    const end = tiers[index + 1]?.aboveTokens ?? Number.POSITIVE_INFINITY;
    const tokens = Math.max(0, Math.min(to, end) - Math.max(from, tier.aboveTokens));
    return tokens === 0 ? sum : sum + tokens * weightOf(model, tier.weights, kind);
  }, 0);
}

function reached(tiers: readonly LongTier[], prompt: number): LongTier | undefined {
  return tiers.findLast(({ aboveTokens }) => prompt > aboveTokens);
}

function weightOf(model: CloudModel, weights: TokenWeights, kind: TokenKind): number {
  const weight = weights[kind];
  if (weight !== undefined) return weight;
  throw new CubitError('unsupported_feature', `How ${kind} tokens of ${model.id} count is not published.`);
}

function checkLengths({ id, onlyAt }: CloudModel, input: number, output: number): void {
  if (onlyAt === undefined || (onlyAt.input === input && onlyAt.output === output)) return;
  throw new CubitError(
    'unsupported_feature',
    `For ${id} it is only published what a unit carries at ${onlyAt.input} input and ${onlyAt.output} output tokens.`,
  );
}
