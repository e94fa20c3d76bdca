import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { ModelShape } from '../../core/serving/performance/facts.ts';

const count = z.int().positive();

/** The keys of a published config.json that say how large a decoder is; families differ in how they spell experts. */
const HfConfig = z.object({
  num_hidden_layers: count,
  hidden_size: count,
  vocab_size: count,
  tie_word_embeddings: z.boolean().default(false),
  num_attention_heads: count,
  num_key_value_heads: count.optional(),
  head_dim: count.nullish(),
  intermediate_size: count,
  moe_intermediate_size: count.nullish(),
  num_local_experts: z.int().nullish(),
  num_experts: z.int().nullish(),
  n_routed_experts: z.int().nullish(),
  num_experts_per_tok: count.nullish(),
  n_shared_experts: z.int().nullish(),
  first_k_dense_replace: z.int().nullish(),
  decoder_sparse_step: z.int().nullish(),
  kv_lora_rank: count.nullish(),
  q_lora_rank: count.nullish(),
  qk_rope_head_dim: count.nullish(),
  qk_nope_head_dim: count.nullish(),
  v_head_dim: count.nullish(),
});

/** What is not read: a model with one of these would be predicted wrongly, so it is refused. */
const UNREAD = ['layer_types', 'linear_num_value_heads', 'sparse_attention_config', 'index_topk', 'mamba_d_state'];

/** Shape of a decoder from its publisher's config.json. Throws `invalid_request` naming what is missing or unknown. */
export function shapeOfConfig(config: Readonly<Record<string, unknown>>): ModelShape {
  const text = config['text_config'];
  const flat = typeof text === 'object' && text !== null ? (text as Record<string, unknown>) : config;
  const unread = UNREAD.filter((key) => flat[key] !== undefined && flat[key] !== null && !isUniform(flat[key]));
  if (unread.length > 0) invalid(`The model's config.json has ${unread.join(', ')}, which cannot be read yet.`);
  const result = HfConfig.safeParse(flat);
  if (!result.success) {
    const faults = result.error.issues.map(({ message, path }) => `${path.join('.')}: ${message}`);
    invalid(`The model's config.json lacks something: ${faults.join('; ')}`);
  }
  const read = result.data;
  const heads = read.num_attention_heads;
  const kvHeads = read.num_key_value_heads ?? heads;
  const mla = mlaOf(read);
  return {
    kind: 'decoder',
    layers: read.num_hidden_layers,
    hiddenSize: read.hidden_size,
    vocabularySize: read.vocab_size,
    tiedEmbeddings: read.tie_word_embeddings,
    attention: {
      kind: mla ? 'mla' : kvHeads === heads ? 'mha' : 'gqa',
      heads,
      kvHeads,
      headDimension: mla ? (read.qk_nope_head_dim as number) : (read.head_dim ?? read.hidden_size / heads),
      mla,
    },
    feedForward: feedForwardOf(read),
  };
}

function mlaOf(read: z.output<typeof HfConfig>): ModelShape['attention']['mla'] {
  if (read.kv_lora_rank === undefined || read.kv_lora_rank === null) return undefined;
  const { qk_nope_head_dim: nope, qk_rope_head_dim: rope, v_head_dim: value } = read;
  if (!nope || !rope || !value) {
    return invalid(
      "The model's config.json lacks qk_nope_head_dim, qk_rope_head_dim or v_head_dim beside kv_lora_rank.",
    );
  }
  return {
    kvLoraRank: read.kv_lora_rank,
    qLoraRank: read.q_lora_rank ?? null,
    ropeDimension: rope,
    valueDimension: value,
  };
}

function feedForwardOf(read: z.output<typeof HfConfig>): ModelShape['feedForward'] {
  const experts = read.num_local_experts ?? read.num_experts ?? read.n_routed_experts ?? 0;
  if (experts === 0) return { gated: true, intermediateSize: read.intermediate_size };
  const active = read.num_experts_per_tok;
  if (!active) return invalid("The model's config.json has experts but no num_experts_per_tok.");
  const dense = read.first_k_dense_replace ?? 0;
  const layers = Math.floor((read.num_hidden_layers - dense) / Math.max(1, read.decoder_sparse_step ?? 1));
  return {
    gated: true,
    intermediateSize: layers === read.num_hidden_layers ? null : read.intermediate_size,
    experts: {
      count: experts,
      activePerToken: active,
      shared: read.n_shared_experts ?? 0,
      intermediateSize: read.moe_intermediate_size ?? read.intermediate_size,
      layers,
    },
  };
}

/** A list of layer types that are all full attention says nothing new. */
function isUniform(value: unknown): boolean {
  return Array.isArray(value) && value.every((type) => type === 'full_attention');
}

function invalid(message: string): never {
  throw new CubitError('invalid_request', message);
}
