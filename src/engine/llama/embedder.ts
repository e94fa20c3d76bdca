import { CubitError } from '../../core/errors.ts';
import type { LoadedModel } from './model.ts';
import type { Reclaimer } from './reclaim.ts';
import type { PromptInput } from './request.ts';

export interface EmbeddingResult {
  readonly vectors: readonly (readonly number[])[];
  readonly promptTokens: number;
}

/** Embeds one request after the other; the waiting ones are bounded. */
export class Embedder {
  readonly #loaded: LoadedModel;
  readonly #waitingMax: number;
  readonly #reclaimer: Reclaimer;
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;
  #promptTokens = 0;

  constructor(loaded: LoadedModel, waitingMax: number, reclaimer: Reclaimer) {
    this.#loaded = loaded;
    this.#reclaimer = reclaimer;
    this.#waitingMax = waitingMax;
  }

  get running(): number {
    return Math.min(this.#pending, 1);
  }

  get waiting(): number {
    return Math.max(0, this.#pending - 1);
  }

  get promptTokensTotal(): number {
    return this.#promptTokens;
  }

  /** Vectors in the inputs' order. Stops between inputs when aborted. Throws `context_length_exceeded`, `engine_unavailable`. */
  async embed(inputs: readonly PromptInput[], signal: AbortSignal): Promise<EmbeddingResult> {
    if (this.waiting >= this.#waitingMax) {
      throw new CubitError('engine_unavailable', `${this.#waitingMax} embedding requests wait already.`);
    }
    const tokens = inputs.map((input) => this.#loaded.inputTokens(input));
    const promptTokens = tokens.reduce((sum, one) => sum + one.length, 0);
    this.#pending += 1;
    const turn = this.#last.then(async () => {
      const vectors: (readonly number[])[] = [];
      for (const one of tokens) {
        signal.throwIfAborted();
        vectors.push(await this.#loaded.embed(one));
        this.#reclaimer.samplerEnded();
      }
      this.#promptTokens += promptTokens;
      return { vectors, promptTokens };
    });
    this.#last = turn.catch(() => undefined);
    try {
      return await turn;
    } finally {
      this.#pending -= 1;
    }
  }
}

export function embeddingsJson(result: EmbeddingResult, model: string, base64: boolean) {
  return {
    object: 'list',
    data: result.vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding: base64 ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector,
    })),
    model,
    usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
  };
}
