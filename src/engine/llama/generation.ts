import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import type { LoadedModel } from './model.ts';
import type { GenerationBody, Sampling } from './request.ts';
import { evaluateOptions } from './sampling.ts';
import { TextAssembler } from './text.ts';
import type { Transfer } from './transfer.ts';

export type FinishReason = 'stop' | 'length';

export interface TokenUsage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
}

/** What a generation tells its request. Exactly one of `onEnd` and `onError` comes, unless it was cancelled. */
export interface GenerationEvents {
  onText(text: string): void;
  /** Before `onEnd`, when its KV state was handed over. */
  onGiven?(params: object): void;
  onEnd(finish: FinishReason): void;
  onError(error: unknown): void;
}

/**
 * One request on a sequence: prefill in chunks, then one token a step, until the model ends it, a stop string comes or
 * the limit is reached. The scheduler calls `begin` once and then `advance` once a step.
 */
export class Generation {
  readonly prompt: readonly Token[];
  readonly salt: string;
  readonly events: GenerationEvents;
  readonly transfer: Transfer | null;
  /** The reader is slow: it holds its sequence but takes no part in steps. */
  paused = false;
  cancelled = false;
  /** Since when, where it held a sequence; monotonic. */
  cancelledAtMs: number | null = null;
  cachedTokens = 0;
  readonly #loaded: LoadedModel;
  readonly #options: ReturnType<typeof evaluateOptions>;
  readonly #text: TextAssembler<Token>;
  readonly #outputTokensMax: number;
  readonly #ignoreEos: boolean;
  readonly #output: Token[] = [];
  #sequence: LlamaContextSequence | null = null;
  #evaluated = 0;
  #tokens: ReturnType<LlamaContextSequence['evaluate']> | null = null;
  #outputTokens = 0;
  #last: Token | null = null;
  #handed: Token | null = null;

  /** Throws what the prompt's tokenization and the sampling's checks throw (`context_length_exceeded`, `invalid_request`). */
  constructor(loaded: LoadedModel, body: GenerationBody, salt: string, events: GenerationEvents) {
    this.#loaded = loaded;
    this.prompt = loaded.promptTokens(body.prompt);
    this.salt = salt;
    this.events = events;
    this.transfer = body.transfer;
    const sampling = this.transfer?.kind === 'take' ? nextDraw(body.sampling) : body.sampling;
    this.#options = evaluateOptions(sampling, loaded, this.prompt, this.#output);
    this.#text = new TextAssembler((tokens, before) => loaded.detokenize(tokens, before), body.stops);
    const room = loaded.contextTokens - this.prompt.length;
    this.#outputTokensMax = this.transfer?.kind === 'give' ? 1 : Math.min(body.outputTokensMax ?? room, room);
    this.#ignoreEos = body.ignoreEos;
  }

  /** Output tokens count every token drawn, the one that ends the output included (as vLLM counts). */
  get usage(): TokenUsage {
    return {
      promptTokens: this.prompt.length,
      cachedTokens: this.cachedTokens,
      outputTokens: this.#outputTokens,
    };
  }

  /** Prompt tokens still to evaluate before the first token can be drawn. */
  get prefillTokensLeft(): number {
    return this.#tokens === null ? this.prompt.length - this.#evaluated : 0;
  }

  get lastToken(): Token | null {
    return this.#last;
  }

  begin(sequence: LlamaContextSequence, reusedTokens: number): void {
    this.#sequence = sequence;
    this.#evaluated = reusedTokens;
    this.cachedTokens = reusedTokens;
  }

  /** Instead of `begin`: the sequence holds the whole prompt, and its first output token is drawn. */
  takeOver(sequence: LlamaContextSequence, take: Extract<Transfer, { kind: 'take' }>): void {
    this.#sequence = sequence;
    this.#evaluated = this.prompt.length;
    this.cachedTokens = Math.min(take.cachedTokens, this.prompt.length);
    this.#handed = take.firstToken as Token;
  }

  /** One step: at most `prefillTokensMax` prompt tokens, or one output token. Returns the finish reason at the end. */
  async advance(prefillTokensMax: number): Promise<FinishReason | null> {
    const sequence = this.#sequence;
    if (sequence === null) throw new Error('advance before begin');
    if (this.#handed !== null) {
      const handed = this.#handed;
      this.#handed = null;
      // What was drawn elsewhere is evaluated as the first step here, as it would have been there.
      this.#tokens = sequence.evaluate([handed], this.#options);
      return this.#take(handed);
    }
    if (this.#tokens === null) {
      const chunk = this.prompt.slice(this.#evaluated, this.#evaluated + prefillTokensMax);
      this.#evaluated += chunk.length;
      if (this.#evaluated < this.prompt.length) {
        await sequence.evaluateWithoutGeneratingNewTokens(chunk);
        return null;
      }
      this.#tokens = sequence.evaluate(chunk, this.#options);
    }
    const next = await this.#tokens.next();
    if (next.done) throw new Error('the sequence ended without an end token');
    return this.#take(next.value);
  }

  /** Frees the sampler. The sequence keeps its KV state for later prompts. */
  async release(): Promise<void> {
    await this.#tokens?.return();
  }

  #take(token: Token): FinishReason | null {
    this.#outputTokens += 1;
    this.#last = token;
    if (!this.#ignoreEos && this.#loaded.model.isEogToken(token)) return this.#finish('stop');
    this.#output.push(token);
    const { text, stopped } = this.#text.push(token);
    if (text !== '') this.events.onText(text);
    if (stopped) return 'stop';
    return this.#outputTokens >= this.#outputTokensMax ? this.#finish('length') : null;
  }

  #finish(reason: FinishReason): FinishReason {
    const rest = this.#text.end();
    if (rest !== '') this.events.onText(rest);
    return reason;
  }
}

/** A seed's first draw is made already; the sampler of the second must not repeat it. */
function nextDraw(sampling: Sampling): Sampling {
  return { ...sampling, seed: sampling.seed === null ? null : sampling.seed + 1 };
}
