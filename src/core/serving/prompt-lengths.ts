import { NormalEquations } from './normal-equations.ts';

/** Half of what is known comes from the last 35 prompts. */
const DECAY = 0.98;
/** What chat templates add: once (a start token, the answer's header), and around each message. */
const TEMPLATE_TOKENS = 8;
const TOKENS_PER_MESSAGE = 4;
/** English, and by bytes about Chinese. */
const TOKENS_PER_BYTE = 0.25;
/**
 * How sure the figures above are before any prompt was counted: their variances (15, 1.5 tokens, 0.05 tokens/byte)
 * against a prompt's, which is about a quarter of its tokens.
 */
const PRIOR_WEIGHTS = [0.25 / 15 ** 2, 0.25 / 1.5 ** 2, 0.25 / 0.05 ** 2];

/**
 * How many tokens a prompt will be, before anything counts it: template + tokens/message × messages + tokens/byte ×
 * UTF-8 bytes, learned per served model from what its engine counted. Least squares weighted by 1/tokens: short prompts
 * teach the template, long ones the ratio. Text without messages has no template.
 */
export class PromptLengths {
  readonly #known = new NormalEquations(3);
  readonly #prior: readonly number[];
  #coefficients: readonly number[];

  /** `templateTokens`: what this model's chat template adds once, where it is known. */
  constructor(templateTokens: number = TEMPLATE_TOKENS) {
    this.#prior = [templateTokens, TOKENS_PER_MESSAGE, TOKENS_PER_BYTE];
    this.#coefficients = this.#prior;
  }

  /** Tokens, at least 1. */
  estimate(bytes: number, messages: number): number {
    const features = featuresOf(bytes, messages);
    const tokens = features.reduce((sum, x, i) => sum + x * (this.#coefficients[i] as number), 0);
    return Math.max(1, Math.ceil(tokens - 1e-6));
  }

  /** The engine counted `tokens`. */
  observe(bytes: number, messages: number, tokens: number): void {
    if (bytes <= 0 || tokens <= 0) return;
    this.#known.scale(DECAY);
    this.#known.add({ features: featuresOf(bytes, messages), target: tokens, weight: 1 / tokens });
    const belief = this.#known.copy();
    this.#prior.forEach((target, i) => {
      const features = this.#prior.map((_, j) => (i === j ? 1 : 0));
      belief.add({ features, target, weight: PRIOR_WEIGHTS[i] as number });
    });
    this.#coefficients = belief.solve();
  }
}

function featuresOf(bytes: number, messages: number): readonly number[] {
  return [messages > 0 ? 1 : 0, messages, bytes];
}
