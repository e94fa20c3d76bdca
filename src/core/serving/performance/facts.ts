/**
 * Facts that the performance model reads: what a model is, what an accelerator can do, how the two are put together.
 * Nothing here is fitted. The catalogue's `Architecture` is assignable to ModelShape.
 */

/** Sizes of one language model, as its publisher states them; meanings as in the catalogue's `Architecture`. */
export interface ModelShape {
  readonly kind: 'decoder' | 'encoder';
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly tiedEmbeddings: boolean;
  readonly attention: {
    readonly kind: 'mha' | 'gqa' | 'mqa' | 'mla';
    readonly heads: number;
    readonly kvHeads: number;
    readonly headDimension: number;
    readonly skippedLayers?: number | undefined;
    readonly outputGate?: boolean | undefined;
    readonly slidingWindow?: { readonly tokens: number; readonly layers: number } | undefined;
    readonly mla?:
      | {
          readonly kvLoraRank: number;
          readonly qLoraRank: number | null;
          readonly ropeDimension: number;
          readonly valueDimension: number;
        }
      | undefined;
    readonly linear?:
      | {
          readonly layers: number;
          readonly keyHeads: number;
          readonly keyDimension: number;
          readonly valueHeads: number;
          readonly valueDimension: number;
          readonly convolutionWidth: number;
        }
      | undefined;
    readonly sparse?:
      | { readonly topK: number; readonly indexHeads: number; readonly indexDimension: number }
      | undefined;
  };
  readonly feedForward: {
    readonly gated: boolean;
    readonly intermediateSize: number | null;
    readonly skippedLayers?: number | undefined;
    readonly experts?:
      | {
          readonly count: number;
          readonly activePerToken: number;
          readonly shared: number;
          readonly intermediateSize: number;
          readonly layers: number;
          readonly latentSize?: number | undefined;
          readonly sharedIntermediateSize?: number | undefined;
        }
      | undefined;
  };
}

export type Generation = 'ampere' | 'ada' | 'hopper' | 'blackwell' | 'cdna3' | 'cdna4' | 'other';
/** Stored formats; `int4` is weights only and multiplies in bf16. */
export type Format = 'bf16' | 'fp8' | 'fp4' | 'int4';
export type EngineKind = 'trtllm' | 'sglang' | 'vllm';

/** One accelerator: vendor figures, decimal units, dense FLOP/s; null where it has no such units or no link. */
export interface Accelerator {
  readonly generation: Generation;
  readonly memoryBytes: number;
  readonly bandwidthBytesPerS: number;
  readonly flopsPerS: { readonly bf16: number; readonly fp8: number | null; readonly fp4: number | null };
  /** One way, out of one accelerator to the others of its group. */
  readonly linkBytesPerS: number | null;
}

/** Stored format of each part. */
export interface Precision {
  readonly attention: Format;
  readonly dense: Format;
  readonly experts: Format;
  readonly head: Format;
  readonly kv: Format;
}

/** How one replica is divided. `tensor · attentionData · pipeline` accelerators; experts over tensor · attentionData. */
export interface Parallelism {
  readonly tensor: number;
  readonly attentionData: number;
  readonly pipeline: number;
}

/** One replica of a model on accelerators under an engine. */
export interface Deployment {
  readonly shape: ModelShape;
  readonly accelerator: Accelerator;
  readonly engine: EngineKind;
  readonly parallelism: Parallelism;
  readonly precision: Precision;
  /** Tokens that a draft (multi-token prediction head) proposes per step; 0 = no speculative decoding. */
  readonly draftTokens: number;
}

/** Where a deployment is looked at. Tokens per request; `concurrency` requests in flight on the replica. */
export interface OperatingPoint {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly concurrency: number;
}

/** How a closed loop of clients drives a deployment; TTFT depends on it as much as on the machine. */
export interface Load {
  /** Share of all requests that started at once: 0 in a steady loop, 1 in a burst, 0.1 with ten prompts a client. */
  readonly firstWave: number;
  /** Requests that keep arriving together: those of equal lengths finish together and are followed together. */
  readonly inStep: number;
}

export const STEADY: Load = { firstWave: 0, inStep: 1 };
export const BURST: Load = { firstWave: 1, inStep: 1 };
