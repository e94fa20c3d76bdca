import { availableParallelism } from 'node:os';
import {
  getLlama,
  type LlamaContext,
  type LlamaContextOptions,
  type LlamaEmbeddingContext,
  LlamaLogLevel,
  type LlamaModel,
  type Token,
} from 'node-llama-cpp';
import { CubitError } from '../../core/errors.ts';
import type { GenerationBody, PromptInput } from './request.ts';
import { type ChatMessage, compileChatTemplate } from './template.ts';

export interface ModelOptions {
  readonly modelPath: string;
  readonly contextTokens: number;
  readonly sequences: number;
  /** 0 = one less than the machine has cores. */
  readonly threads: number;
  /** Most tokens one step evaluates. */
  readonly batchTokens: number;
  /** Warnings and errors of llama.cpp. */
  readonly log: (line: string) => void;
}

/** An adapter's KV cache is memory beside the base model's: it gets fewer sequences. */
const ADAPTER_SEQUENCES_MAX = 4;

/** The longest token of today's vocabularies is a run of 128 spaces. */
const CHARS_PER_TOKEN_MAX = 128;

/** The loaded weights with their tokenizer, chat template, and the context that the sequences live in. */
export class LoadedModel {
  readonly model: LlamaModel;
  readonly context: LlamaContext;
  readonly contextTokens: number;
  readonly vocabularySize: number;
  readonly #renderChat: ((messages: readonly ChatMessage[]) => string) | null;
  readonly #embeddingBatch: number;
  readonly #options: ModelOptions;
  #embedding: Promise<LlamaEmbeddingContext> | null = null;

  constructor(model: LlamaModel, context: LlamaContext, options: ModelOptions) {
    const { tokenizer } = model.fileInfo.metadata;
    this.model = model;
    this.context = context;
    this.#options = options;
    this.contextTokens = options.contextTokens;
    // One batch holds the threads: in small ones streams go on between them. Models that read both ways need it whole.
    const { attention } = model.fileInfo.architectureMetadata;
    this.#embeddingBatch = attention?.causal === false ? options.contextTokens : options.batchTokens;
    this.vocabularySize = [...model.iterateAllTokens()].length;
    const template = tokenizer?.chat_template;
    this.#renderChat =
      template === undefined
        ? null
        : compileChatTemplate(template, {
            bosToken: model.tokens.bosString ?? '',
            eosToken: model.tokens.eosString ?? '',
          });
  }

  /** The same weights with a LoRA adapter (a GGUF file), in a context of its own. Throws what llama.cpp throws. */
  async withAdapter(filePath: string): Promise<LoadedModel> {
    const sequences = Math.min(this.#options.sequences, ADAPTER_SEQUENCES_MAX);
    const options = { ...this.#options, sequences };
    const lora = { adapters: [{ filePath, scale: 1 }] };
    return new LoadedModel(this.model, await createContext(this.model, options, { lora }), options);
  }

  /** Exact prompt tokens, chat template applied. Throws `context_length_exceeded` with the numbers. */
  promptTokens(prompt: GenerationBody['prompt']): Token[] {
    const tokens = 'messages' in prompt ? this.#chatTokens(prompt.messages) : this.#completionTokens(prompt.text);
    if (tokens.length === 0) {
      throw new CubitError('invalid_request', 'The prompt is empty.', { details: { param: 'prompt' } });
    }
    return this.#fitting(tokens);
  }

  /** Tokens of one text to embed. Throws `context_length_exceeded`. */
  inputTokens(input: PromptInput): Token[] {
    return this.#fitting(this.#completionTokens(input));
  }

  detokenize(tokens: readonly Token[], before: readonly Token[]): string {
    return this.model.detokenize(tokens, false, before);
  }

  /** One vector; the caller runs one at a time. The context for it is made at the first call. */
  async embed(tokens: readonly Token[]): Promise<readonly number[]> {
    this.#embedding ??= this.model.createEmbeddingContext({
      contextSize: this.contextTokens,
      batchSize: this.#embeddingBatch,
    });
    const context = await this.#embedding.catch((error: unknown) => {
      this.#embedding = null; // the next call tries again
      throw error;
    });
    return (await context.getEmbeddingFor([...tokens])).vector;
  }

  #chatTokens(messages: readonly ChatMessage[]): Token[] {
    if (messages.length >= this.contextTokens) throw this.#farTooLong(`${messages.length} messages`);
    this.#refuseHopeless(messages.reduce((sum, message) => sum + message.content.length, 0));
    if (this.#renderChat === null) {
      throw new CubitError('unsupported_feature', 'This model has no chat template. Use /v1/completions.', {
        details: { param: 'messages' },
      });
    }
    return this.model.tokenize(this.#renderChat(messages), true);
  }

  #completionTokens(input: PromptInput): Token[] {
    if (typeof input !== 'string') {
      for (const id of input) {
        if (id < this.vocabularySize) continue;
        throw new CubitError('invalid_request', `The model has no token ${id}.`, { details: { param: 'prompt' } });
      }
      return input as Token[];
    }
    this.#refuseHopeless(input.length);
    const tokens = this.model.tokenize(input, true);
    const { bos, shouldPrependBosToken } = this.model.tokens;
    return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
  }

  /** The template and the tokenizer hold up every stream of this process: what cannot fit is refused before them. */
  #refuseHopeless(chars: number): void {
    if (chars > this.contextTokens * CHARS_PER_TOKEN_MAX) throw this.#farTooLong(`${chars} characters`);
  }

  #farTooLong(size: string): CubitError {
    return new CubitError(
      'context_length_exceeded',
      `The prompt has ${size}, far more than this model takes in its context of ${this.contextTokens} tokens. Shorten it.`,
      { details: { param: 'messages', contextTokens: this.contextTokens } },
    );
  }

  #fitting(tokens: Token[]): Token[] {
    if (tokens.length < this.contextTokens) return tokens;
    throw new CubitError(
      'context_length_exceeded',
      `The prompt has ${tokens.length} tokens; this model takes at most ${this.contextTokens - 1} of them in its context of ${this.contextTokens}. Shorten it.`,
      { details: { param: 'messages', promptTokens: tokens.length, contextTokens: this.contextTokens } },
    );
  }
}

/** Loads weights and makes the context. Throws `weights_unavailable` or `config_invalid` with what to do. */
export async function loadModel(options: ModelOptions): Promise<LoadedModel> {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    progressLogs: false,
    logLevel: LlamaLogLevel.warn,
    logger: (level, message) => options.log(`llama.cpp ${level}: ${message.trim()}`),
    maxThreads: threadsOf(options.threads),
  });
  const model = await llama.loadModel({ modelPath: options.modelPath }).catch((error: unknown) => {
    throw new CubitError(
      'weights_unavailable',
      `Cannot load ${options.modelPath}: it has to be a readable GGUF file.`,
      {
        cause: error,
      },
    );
  });
  if (options.contextTokens > model.trainContextSize) {
    throw new CubitError(
      'config_invalid',
      `--context ${options.contextTokens} is over what the model was trained for (${model.trainContextSize} tokens).`,
    );
  }
  return new LoadedModel(model, await createContext(model, options), options);
}

function createContext(
  model: LlamaModel,
  { contextTokens, sequences, batchTokens, threads }: ModelOptions,
  more: Pick<LlamaContextOptions, 'lora'> = {},
): Promise<LlamaContext> {
  return model.createContext({
    contextSize: contextTokens,
    sequences,
    batchSize: batchTokens,
    threads: threadsOf(threads),
    failedCreationRemedy: false,
    ...more,
  });
}

/** One core is left to the gateway: where threads outnumber idle cores, they wait for each other at every layer. */
function threadsOf(threads: number): number {
  return threads || Math.max(1, availableParallelism() - 1);
}
