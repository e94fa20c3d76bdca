import { CubitError } from '../../core/errors.ts';
import type { Accelerator, Deployment, Format, Precision } from '../../core/serving/performance/facts.ts';
import { cacheShards, cacheWidth, layerKinds } from '../../core/serving/performance/layers.ts';
import type { MixedStepFacts } from '../../core/serving/performance/mixed-step.ts';
import { parametersOf } from '../../core/serving/performance/parameters.ts';
import { bytesOf } from '../../core/serving/performance/rates.ts';
import type { FactFinder } from '../calculator/facts.ts';
import type { Bundle, EngineSettings } from './bundle.ts';
import { shapeOfConfig } from './huggingface.ts';

/**
 * What these accelerators' operator tables show of their published figures, where it is not what the constants of the
 * performance model say (H100, H200). Source: dense and expert tables of LLMServingSim's profiler (@72c16ba, @e5499d0,
 * profiler/perf): GEMMs of 1 to 16 tokens against bandwidth, of 2,048 tokens against peak; fused experts of
 * Qwen3-30B-A3B, 128 of 128 hit, against bandwidth, 8 of 128 hit by 2,048 tokens against peak.
 */
const OPERATOR_TABLES: Readonly<Record<string, Omit<MixedStepFacts, 'ring'>>> = {
  rtx4090: { weightReadShare: 0.92, gemmFlopsShare: 0.96 },
  'rtx-pro-6000': { weightReadShare: 0.9, gemmFlopsShare: 0.84, expertReadShare: 0.91, expertFlopsShare: 0.45 },
};

/** Facts that a bundle may lack. */
export interface GivenFacts {
  readonly modelConfig?: Readonly<Record<string, unknown>>;
  /** Dense bf16, of one accelerator. */
  readonly flopsPerS?: number;
}

export interface BundleDeployment {
  readonly deployment: Deployment;
  readonly facts: MixedStepFacts;
  /** Tokens that fit in one rank's cache. */
  readonly kvTokens: number;
  readonly assumed: readonly string[];
}

/** Memory that a vLLM worker needs beside weights and cache: activations, CUDA graphs, context; bytes. */
const RUNTIME_BYTES = 3e9;
const BLOCK_TOKENS = 16;

/** Throws `invalid_request` where the model or the accelerator is not known and not given. */
export function deploymentOf(bundle: Bundle, finder: FactFinder, given: GivenFacts): BundleDeployment {
  const assumed: string[] = [];
  const { engine, hardware } = bundle;
  const config = given.modelConfig ?? engine.modelConfig;
  const shape = config ? shapeOfConfig(config) : finder.shapeOf(bundle.model);
  if (shape === null) {
    invalid(
      `The catalogue has no architecture facts of ${bundle.model} and the bundle holds none: give the model's published config.json with --model-config FILE.`,
    );
  }
  const key = acceleratorKey(hardware.name, hardware.memoryBytes);
  const known = finder.acceleratorOf(key);
  const flopsPerS = given.flopsPerS ?? known?.flopsPerS.bf16;
  if (flopsPerS === undefined) {
    invalid(
      `The catalogue does not know the accelerator ${hardware.name}. Its memory, bandwidth and link are in config.json; give its dense bf16 TFLOPS with --tflops N.`,
    );
  }
  const accelerator: Accelerator = {
    generation: known?.generation ?? 'other',
    memoryBytes: hardware.memoryBytes,
    bandwidthBytesPerS: hardware.bandwidthBytesPerS,
    flopsPerS: { bf16: flopsPerS, fp8: known?.flopsPerS.fp8 ?? null, fp4: known?.flopsPerS.fp4 ?? null },
    linkBytesPerS: hardware.ring.bytesPerS,
  };
  const deployment: Deployment = {
    shape,
    accelerator,
    engine: 'vllm',
    parallelism: { tensor: engine.tensor, attentionData: engine.ranks, pipeline: 1 },
    precision: precisionOf(bundle),
    draftTokens: 0,
  };
  const facts = { ...OPERATOR_TABLES[key], ring: hardware.ring };
  return { deployment, facts, kvTokens: kvTokensOf(bundle, deployment, assumed), assumed };
}

/** `RTXPRO6000`, `RTX4090`, `H100`, `A100` as the catalogue names them. */
function acceleratorKey(name: string, memoryBytes: number): string {
  const key = name.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  if (key.startsWith('rtxpro')) return key.replace('rtxpro', 'rtx-pro-');
  if (/^(rtx)?a6000$/.test(key)) return 'rtx-a6000';
  if (key === 'a100') return memoryBytes < 60e9 ? 'a100-40g' : 'a100-80g';
  return key;
}

/** Blocks that the log states, less the one that vLLM keeps for padding; else what memory leaves. */
function kvTokensOf({ engine, hardware }: Bundle, deployment: Deployment, assumed: string[]): number {
  const blockTokens = engine.blockTokens ?? BLOCK_TOKENS;
  if (engine.kvBlocks !== null) return (engine.kvBlocks - 1) * blockTokens;
  const { precision, shape } = deployment;
  const of = parametersOf(shape);
  const experts = of.expert * (shape.feedForward.experts?.count ?? 0) * bytesOf(precision.experts);
  const embeddings = (shape.tiedEmbeddings ? 1 : 2) * of.embedding * bytesOf(precision.head);
  const dense = of.attention * bytesOf(precision.attention) + of.dense * bytesOf(precision.dense) + embeddings;
  const weights = dense / engine.tensor + experts / (engine.tensor * engine.ranks);
  const free = hardware.memoryBytes * hardware.memoryShare - weights - RUNTIME_BYTES;
  const kinds = layerKinds(shape);
  const perToken =
    ((kinds.full + kinds.windowed) * cacheWidth(shape) * bytesOf(precision.kv)) / cacheShards(shape, engine.tensor);
  const tokens = Math.floor(free / perToken / blockTokens) * blockTokens;
  if (!(tokens > 0)) invalid('The model does not fit: config.json leaves no memory for the KV cache.');
  assumed.push(
    `KV cache: ${tokens} tokens a rank, from config.json's memory × ${hardware.memoryShare} less weights and ${RUNTIME_BYTES / 1e9} GB`,
  );
  return tokens;
}

function precisionOf({ engine, model }: Bundle): Precision {
  const weights = weightFormat(engine, model);
  const kv: Format = engine.kvDtype?.startsWith('fp8') ? 'fp8' : 'bf16';
  return { attention: weights, dense: weights, experts: weights, head: 'bf16', kv };
}

function weightFormat({ dtype, quantization }: EngineSettings, model: string): Format {
  const name = quantization ?? /-(fp8|nvfp4|awq|gptq)\b/i.exec(model)?.[1]?.toLowerCase();
  if (name === undefined) {
    if (dtype === null || ['auto', 'bfloat16', 'float16', 'half'].includes(dtype)) return 'bf16';
    return invalid(`dtype ${dtype} is not simulated: bfloat16 and float16 are.`);
  }
  if (name.includes('fp8')) return 'fp8';
  if (name.includes('fp4')) return 'fp4';
  if (/awq|gptq|int4|w4a16/.test(name)) return 'int4';
  return invalid(`Quantization ${name} is not simulated: fp8, fp4 and 4-bit integer weights are.`);
}

function invalid(message: string): never {
  throw new CubitError('invalid_request', message);
}
