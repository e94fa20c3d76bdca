import type { Accelerator, Deployment, ModelShape, Parallelism } from './facts.ts';

/** Facts for tests: published sizes. */
export const H100: Accelerator = {
  generation: 'hopper',
  memoryBytes: 80e9,
  bandwidthBytesPerS: 3.35e12,
  flopsPerS: { bf16: 989e12, fp8: 1978e12, fp4: null },
  linkBytesPerS: 450e9,
};

export const LLAMA_70B: ModelShape = {
  kind: 'decoder',
  layers: 80,
  hiddenSize: 8192,
  vocabularySize: 128_256,
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 64, kvHeads: 8, headDimension: 128 },
  feedForward: { gated: true, intermediateSize: 28_672 },
};

export const QWEN3_30B_A3B: ModelShape = {
  kind: 'decoder',
  layers: 48,
  hiddenSize: 2048,
  vocabularySize: 151_936,
  tiedEmbeddings: false,
  attention: { kind: 'gqa', heads: 32, kvHeads: 4, headDimension: 128 },
  feedForward: {
    gated: true,
    intermediateSize: null,
    experts: { count: 128, activePerToken: 8, shared: 0, intermediateSize: 768, layers: 48 },
  },
};

export const R1: ModelShape = {
  kind: 'decoder',
  layers: 61,
  hiddenSize: 7168,
  vocabularySize: 129_280,
  tiedEmbeddings: false,
  attention: {
    kind: 'mla',
    heads: 128,
    kvHeads: 128,
    headDimension: 128,
    mla: { kvLoraRank: 512, qLoraRank: 1536, ropeDimension: 64, valueDimension: 128 },
  },
  feedForward: {
    gated: true,
    intermediateSize: 18_432,
    experts: { count: 256, activePerToken: 8, shared: 1, intermediateSize: 2048, layers: 58 },
  },
};

/** A shape in 8 bits on H100s under vLLM. */
export function on(shape: ModelShape, parallelism: Partial<Parallelism>): Deployment {
  return {
    shape,
    accelerator: H100,
    engine: 'vllm',
    parallelism: { tensor: 1, attentionData: 1, pipeline: 1, ...parallelism },
    precision: { attention: 'fp8', dense: 'fp8', experts: 'fp8', head: 'bf16', kv: 'fp8' },
    draftTokens: 0,
  };
}
