import type { EngineKind, Format, Generation } from './facts.ts';

/**
 * Every constant of the performance model, in one place. Sources, named at each group:
 *   tables  operator tables of ai-dynamo/aiconfigurator @095f58a (GEMM, attention, MoE, NCCL; Apache-2.0);
 *           `cubit evaluate operators` reads them again and prints what it finds beside the value here
 *   rows    a small correction of what no operator table holds (schedulers, hosts, clients), set once on the shared
 *           end-to-end rows; docs/performance-model.md says how far each moves when a model family is left out
 *   spec    a published format or protocol
 */
export const CONSTANTS = {
  /** spec: bits of a stored element: NVFP4 keeps one 8-bit scale per 16 elements, 4-bit integers one 16-bit per 64. */
  formatBits: { bf16: 16, fp8: 8, fp4: 4.5, int4: 4.25 } satisfies Record<Format, number>,

  /** tables: share of memory bandwidth that skinny GEMMs, fused experts and decode attention reach. */
  weightReadShare: 0.89,
  fp4ReadShare: 0.72,
  expertReadShare: 0.674,
  expertReadBlackwell: 1.11,
  kvReadShare: 0.746,
  /** tables: share of peak FLOP/s: large GEMMs in 8 and 4 bits, the same in bf16, fused experts, attention. */
  gemmFlopsShare: 0.51,
  gemmFlopsBf16: 1.42,
  expertFlopsShare: 0.246,
  decodeAttentionFlopsShare: 0.6,
  prefillAttentionFlopsShare: 0.618,
  /** tables: tokens at which a GEMM, an expert and attention reach half of that share. */
  gemmHalfTokens: 194,
  expertHalfTokens: 39,
  attentionHalfTokens: 800,

  /** tables: exponent of the smooth maximum of a read and a multiplication that overlap. */
  overlapExponent: 1.9,
  /** rows: skew of routing: a batch touches the experts that batch^0.88 uniform tokens would. */
  routingSkewExponent: 0.88,

  /** tables, rows: one kernel inside a CUDA graph, and its cost on older generations. */
  kernelUs: 3.59,
  kernelGeneration: {
    ampere: 1.22,
    ada: 1.22,
    hopper: 1.22,
    blackwell: 1,
    cdna3: 1.22,
    cdna4: 1.22,
    other: 1.22,
  } satisfies Record<Generation, number>,
  /** rows: what each engine adds around its kernels. */
  engineOverhead: { trtllm: 1, sglang: 1.1, vllm: 1.2 } satisfies Record<EngineKind, number>,
  /** Kernels of a layer, counted from engines' decode paths. */
  kernelsPerAttention: 5,
  kernelsPerFeedForward: 4,
  kernelsPerExpertLayer: 3,
  kernelsPerSharedExpertLayer: 3,
  kernelsPerLatentLayer: 8,
  kernelsPerLinearLayer: 12,
  kernelsPerSparseLayer: 8,

  /** tables (NCCL): all-reduce floor, its growth per doubling, share of link bandwidth; rows: all-to-all floor. */
  allReduceUs: 5.97,
  allReduceDoublingUs: 2,
  linkShare: 0.449,
  allToAllUs: 15.3,

  /** rows: the host's part of a step, and of each sequence in it. */
  hostUs: 200,
  hostUsPerSequence: 7.1,

  /** rows: cost of a step that verifies drafts, and tokens accepted per step with 2 drafts. */
  draftStepFactor: 1.148,
  draftAcceptance: 0.51,

  /** Memory an engine may use, and what it needs besides weights and cache; the least that is left for the cache. */
  memoryShare: 0.92,
  runtimeBytes: 3e9,
  cacheShareMin: 0.04,

  /** rows: launching a kernel outside a CUDA graph (prefill), what vLLM's prefill graphs leave of it. */
  launchUs: 53,
  launchGraphs: { trtllm: 1, sglang: 1, vllm: 0.4 } satisfies Record<EngineKind, number>,
  /** rows: share of launching that a decoding batch sees, and of another request's prefill. */
  launchInterference: 0.51,
  interference: { trtllm: 0.88, sglang: 1.04, vllm: 0.87 } satisfies Record<EngineKind, number>,
  interferenceBurst: 0.45,
  interferenceAttentionData: 1.61,
  prefillEngine: { trtllm: 1, sglang: 1.22, vllm: 1 } satisfies Record<EngineKind, number>,

  /** rows: TTFT. */
  ttftFixedUs: { trtllm: 22_000, sglang: 54_000, vllm: 12_000 } satisfies Record<EngineKind, number>,
  ttftQueue: { trtllm: 0.106, sglang: 0.158, vllm: 0.08 } satisfies Record<EngineKind, number>,
  ttftQueueBurst: 2.8,
  ttftQueueExponent: 0.914,
  ttftPrefill: 1.09,
  ttftAttentionData: 2.19,
  ttftSteps: 1.54,
  ttftOverflow: 0.33,

  /** rows: disaggregated deployments, whose workers and batches are not known. */
  disaggregatedBatchExponent: 0.925,
  disaggregatedDecodeFactor: 0.76,
  disaggregatedTtftUs: 140_000,
  disaggregatedPrefill: 3.1,
  disaggregatedQueue: 0.042,
  disaggregatedQueueExponent: 0.755,
} as const;
