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
  weightReadShare: 0.888,
  fp4ReadShare: 0.708,
  expertReadShare: 0.691,
  expertReadBlackwell: 1.14,
  /** tables: the same where 4-bit integers are widened on the way. */
  expertReadInt4: { hopper: 0.35, blackwell: 0.2 },
  kvReadShare: 0.739,
  /** tables: share of peak FLOP/s of large GEMMs, by what they are multiplied in. */
  gemmFlopsShare: {
    hopper: { bf16: 0.754, fp8: 0.574, fp4: 0.58 },
    blackwell: { bf16: 0.66, fp8: 0.479, fp4: 0.418 },
  },
  /** tables: the same of fused experts and of attention. */
  expertFlopsShare: {
    hopper: { bf16: 0.287, fp8: 0.189, fp4: 0.25 },
    blackwell: { bf16: 0.337, fp8: 0.0667, fp4: 0.205 },
  },
  decodeAttentionFlopsShare: 0.6,
  prefillAttentionFlopsShare: { hopper: 0.585, blackwell: 0.539 },
  /** tables: tokens at which a GEMM, an expert and attention reach half of that share. */
  gemmHalfTokens: 114,
  expertHalfTokens: 44.8,
  attentionHalfTokens: { hopper: 839, blackwell: 1540 },

  /** tables: exponent of the smooth maximum of a read and a multiplication that overlap. */
  overlapExponent: 1.9,
  /** rows: skew of routing: a batch touches the experts that batch^0.88 uniform tokens would. */
  routingSkewExponent: 0.879,

  /** tables, rows: one kernel inside a CUDA graph, and its cost on older generations. */
  kernelUs: 3.57,
  kernelGeneration: {
    ampere: 1.22,
    ada: 1.22,
    hopper: 1.23,
    blackwell: 1,
    cdna3: 1.22,
    cdna4: 1.22,
    other: 1.22,
  } satisfies Record<Generation, number>,
  /** rows: what each engine adds around its kernels. */
  engineOverhead: { trtllm: 1, sglang: 1.09, vllm: 1.21 } satisfies Record<EngineKind, number>,
  /** Kernels of a layer, counted from engines' decode paths. */
  kernelsPerAttention: 5,
  kernelsPerFeedForward: 4,
  kernelsPerExpertLayer: 3,
  kernelsPerSharedExpertLayer: 3,
  kernelsPerLatentLayer: 8,
  kernelsPerLinearLayer: 12,
  kernelsPerSparseLayer: 8,

  /** tables: all-reduce, small in one shot (floor, growth per doubling), large as a ring (floor); rows: all-to-all. */
  allReduceUs: 5.94,
  allReduceDoublingUs: 1.98,
  ringUs: 24.9,
  /** tables: share of link bandwidth in one shot, as a ring, all to all. */
  oneShotShare: 0.716,
  ringShare: { hopper: 0.85, blackwell: 0.7 },
  allToAllUs: 15.3,
  allToAllShare: 0.449,

  /** rows: the host's part of a step, and of each sequence in it. */
  hostUs: 199,
  hostUsPerSequence: 7.09,

  /** rows: cost of a step that verifies drafts, and tokens accepted per step with 2 drafts. */
  draftStepFactor: 1.13,
  draftAcceptance: 0.513,

  /** Share of an answer that an engine sets memory aside for when it lets a request in. */
  reservedOutput: { trtllm: 1, sglang: 0.6, vllm: 0.6 } satisfies Record<EngineKind, number>,
  /**
   * Memory an engine may use, of the data sheet's (whose GB hold 7 % more, of which engines take nine tenths), what it
   * needs besides weights and cache, and the least that is left for the cache.
   */
  memoryShare: 0.96,
  runtimeBytes: 3e9,
  cacheShareMin: 0.04,

  /** rows: launching a kernel outside a CUDA graph (prefill), what vLLM's prefill graphs leave of it. */
  launchUs: 40.3,
  launchGraphs: { trtllm: 1.01, sglang: 1, vllm: 0.406 } satisfies Record<EngineKind, number>,
  /** rows: share of launching that a decoding batch sees, and of another request's prefill. */
  launchInterference: 0.472,
  interference: { trtllm: 0.91, sglang: 1.03, vllm: 0.896 } satisfies Record<EngineKind, number>,
  interferenceBurst: 0.429,
  interferenceAttentionData: 1.62,
  prefillEngine: { trtllm: 1, sglang: 1.21, vllm: 1 } satisfies Record<EngineKind, number>,

  /** rows: TTFT: client, server and scheduler; prefills waited for per request in flight; steps until the answer. */
  ttftFixedUs: { trtllm: 27_500, sglang: 105_000, vllm: 10_200 } satisfies Record<EngineKind, number>,
  ttftDrift: { trtllm: 0.015, sglang: 0.0676, vllm: 0.0136 } satisfies Record<EngineKind, number>,
  ttftPrefill: 0.95,
  ttftAttentionData: 3.45,
  ttftSteps: 1.31,
  ttftOverflow: 0.845,

  /** rows: disaggregated deployments, whose workers and batches are not known. */
  disaggregatedBatchExponent: 0.925,
  disaggregatedDecodeFactor: 0.76,
  disaggregatedTtftUs: 140_000,
  disaggregatedPrefill: 3.1,
  disaggregatedQueue: 0.042,
  disaggregatedQueueExponent: 0.755,
} as const;
