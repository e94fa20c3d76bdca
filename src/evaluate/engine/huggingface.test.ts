import { describe, expect, it } from 'vitest';
import { shapeOfConfig } from './huggingface.ts';

const llama = {
  hidden_size: 4_096,
  intermediate_size: 14_336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  vocab_size: 128_256,
};

describe('shapeOfConfig', () => {
  it('reads a dense model; heads share the hidden size unless said', () => {
    expect(shapeOfConfig(llama)).toMatchObject({
      attention: { kind: 'gqa', headDimension: 128 },
      feedForward: { intermediateSize: 14_336 },
      tiedEmbeddings: false,
    });
    expect(shapeOfConfig({ text_config: { ...llama, head_dim: 64 } }).attention.headDimension).toBe(64);
  });

  it.each(['num_experts', 'num_local_experts', 'n_routed_experts'])('reads experts spelt %s', (key) => {
    const { feedForward } = shapeOfConfig({ ...llama, [key]: 64, num_experts_per_tok: 4, moe_intermediate_size: 768 });
    expect(feedForward).toEqual({
      gated: true,
      intermediateSize: null,
      experts: { count: 64, activePerToken: 4, shared: 0, intermediateSize: 768, layers: 32 },
    });
  });

  it('reads dense layers before experts, shared experts and latent attention', () => {
    const shape = shapeOfConfig({
      ...llama,
      n_routed_experts: 64,
      num_experts_per_tok: 4,
      n_shared_experts: 1,
      first_k_dense_replace: 3,
      kv_lora_rank: 512,
      qk_nope_head_dim: 128,
      qk_rope_head_dim: 64,
      v_head_dim: 128,
    });
    expect(shape.attention).toMatchObject({
      kind: 'mla',
      headDimension: 128,
      mla: { kvLoraRank: 512, qLoraRank: null },
    });
    expect(shape.feedForward).toMatchObject({ intermediateSize: 14_336, experts: { shared: 1, layers: 29 } });
  });

  it.each([
    [{}, /lacks something: num_hidden_layers/],
    [{ ...llama, num_experts: 8 }, /num_experts_per_tok/],
    [{ ...llama, kv_lora_rank: 512 }, /qk_nope_head_dim/],
    [{ ...llama, layer_types: ['linear_attention', 'full_attention'] }, /layer_types, which cannot be read/],
  ])('refuses what it cannot read: %#', (config, message) => {
    expect(() => shapeOfConfig(config)).toThrow(message);
  });

  it('takes a list of layers that all attend to everything', () => {
    expect(shapeOfConfig({ ...llama, layer_types: ['full_attention', 'full_attention'] }).layers).toBe(32);
  });
});
