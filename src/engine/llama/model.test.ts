import type { LlamaContext, LlamaModel } from 'node-llama-cpp';
import { describe, expect, it } from 'vitest';
import { LoadedModel } from './model.ts';

/** A model of two tokens that counts what it is asked to tokenize. */
function loaded(more: object = {}) {
  const asked = { tokenizations: 0 };
  const model = {
    fileInfo: { architectureMetadata: {}, metadata: { tokenizer: { chat_template: '{{ messages[0].content }}' } } },
    tokens: { bosString: '', eosString: '', bos: null, shouldPrependBosToken: false },
    iterateAllTokens: () => [0, 1],
    tokenize: () => {
      asked.tokenizations += 1;
      return [1];
    },
    ...more,
  };
  const options = { modelPath: '', contextTokens: 100, sequences: 1, threads: 1, batchTokens: 1, log: () => {} };
  return { asked, own: new LoadedModel(model as unknown as LlamaModel, {} as LlamaContext, options) };
}

describe('a prompt that cannot fit', () => {
  const message = { role: 'user', content: 'x' };
  it.each<[string, (own: LoadedModel) => unknown]>([
    ['text', (own) => own.promptTokens({ text: 'x'.repeat(12_801) })],
    ['a message', (own) => own.promptTokens({ messages: [{ ...message, content: 'x'.repeat(12_801) }] })],
    ['messages', (own) => own.promptTokens({ messages: Array(100).fill(message) })],
    ['an embedding', (own) => own.inputTokens('x'.repeat(12_801))],
  ])('is refused before the tokenizer has to go through it: %s', (_, ask) => {
    const { asked, own } = loaded();
    expect(() => ask(own)).toThrow(expect.objectContaining({ code: 'context_length_exceeded' }));
    expect(asked.tokenizations).toBe(0);
  });

  it('is left to the tokenizer when it may fit', () => {
    const { own } = loaded();
    expect(own.promptTokens({ text: 'x'.repeat(12_800) })).toEqual([1]);
    expect(own.promptTokens({ messages: Array(99).fill(message) })).toEqual([1]);
  });
});

it('tries again to make the context of embeddings when that failed once', async () => {
  let tries = 0;
  const { own } = loaded({
    createEmbeddingContext: async () => {
      tries += 1;
      if (tries === 1) throw new Error('no memory');
      return { getEmbeddingFor: async () => ({ vector: [0.5] }) };
    },
  });
  await expect(own.embed([])).rejects.toThrow('no memory');
  expect(await own.embed([])).toEqual([0.5]);
  await own.embed([]);
  expect(tries).toBe(2);
});
