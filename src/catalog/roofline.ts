import { parametersOf } from '../core/serving/performance/parameters.ts';
import type { Architecture, MachineType, Template } from './schema.ts';

/**
 * A unit's step model from facts alone: what it reads and multiplies against what its machines can do. The profiles in
 * `catalog/templates` that say `from: facts` are these numbers (roofline.test.ts holds them to it). Source of the
 * shares and latencies: operator tables of ai-dynamo/aiconfigurator (measured GEMM, attention, all-reduce on H100, H200).
 */
const WEIGHT_READ_SHARE = 0.85;
const KV_READ_SHARE = 0.75;
const FLOPS_SHARE = 0.5;
const LINK_SHARE = 0.45;
const MEMORY_SHARE = 0.9;
const RUNTIME_BYTES = 3e9;
const KERNEL_US = 4.3;
const KERNEL_LAUNCH_US = 21;
const ALL_REDUCE_US = 8;
const HOST_US_PER_SEQUENCE = 7;

/** All accelerators of a role in one unit; bytes, bytes/s and FLOP/s of one of them, as in MachineType. */
interface Hardware {
  readonly accelerators: number;
  readonly memoryBytes: number;
  readonly bandwidthBytesPerS: number;
  readonly flopsPerS: number;
  readonly linkBytesPerS: number | null;
}

/** What a role's machines add up to; null without accelerator facts. */
export function hardwareOf(machine: MachineType, machines: number): Hardware | null {
  const { acceleratorCount, bandwidthBytesPerS, flopsPerS, linkBytesPerS, memoryBytes } = machine;
  if (acceleratorCount === 0 || memoryBytes === null || bandwidthBytesPerS === null || flopsPerS === null) return null;
  return { accelerators: acceleratorCount * machines, memoryBytes, bandwidthBytesPerS, flopsPerS, linkBytesPerS };
}

interface Input {
  readonly architecture: Architecture;
  readonly engine: Template['engine'];
  /** Sequences decoding together: how many distinct experts a step reads. */
  readonly batch: number;
  readonly prefill: Hardware;
  readonly decode: Hardware;
}

type Roofline = Pick<Template['profile'], 'prefillFixedUs' | 'step'> & Pick<Template, 'kvTokensPerUnit'>;

/** Microseconds per step, prefill token, attended pair, decoding sequence and context token; four digits each. */
export function rooflineOf({ architecture, batch, decode, engine, prefill }: Input): Roofline {
  const { hiddenSize, layers } = architecture;
  const parameters = parametersOf(architecture);
  const weightBytes = (engine.weightBits ?? 16) / 8;
  const weightsReadBytes =
    (parameters.attention + parameters.dense + expertsRead(architecture, batch) * parameters.expert) * weightBytes +
    2 * parameters.embedding;
  const kernels = 9 * layers + 3 * (architecture.feedForward.experts?.layers ?? 0);
  const usPerFlop = (on: Hardware, factor = 1) => 1e6 / (on.accelerators * on.flopsPerS * factor * FLOPS_SHARE);
  const usPerByte = (on: Hardware, share: number) => 1e6 / (on.accelerators * on.bandwidthBytesPerS * share);
  // Tensor cores of 8-bit weights run at twice the bf16 rate; other formats are widened to bf16 first.
  const weightsFactor = engine.weightBits === 8 ? 2 : 1;
  const tau0Us =
    weightsReadBytes * usPerByte(decode, WEIGHT_READ_SHARE) +
    kernels * KERNEL_US +
    (decode.accelerators > 1 ? 2 * layers * ALL_REDUCE_US : 0);
  return {
    prefillFixedUs: digits(kernels * KERNEL_LAUNCH_US),
    step: {
      tau0Us: digits(tau0Us),
      tau1Us: digits(
        2 * (parameters.active - parameters.embedding) * usPerFlop(prefill, weightsFactor) +
          allReduceUsPerToken(prefill, layers * hiddenSize),
      ),
      tau2Us: digits(flopsPerPair(architecture) * usPerFlop(prefill)),
      tau3Us: digits(2 * parameters.active * usPerFlop(decode, weightsFactor) + HOST_US_PER_SEQUENCE),
      tau4Us: digits(
        (kvBytesPerToken(architecture, engine) * 1e6) /
          (kvShards(architecture, decode) * decode.bandwidthBytesPerS * KV_READ_SHARE),
      ),
      tau5Us: 0,
    },
    kvTokensPerUnit: kvTokens(architecture, engine, decode, parameters.total * weightBytes),
  };
}

/** Distinct experts that a batch touches when each token picks `activePerToken` at random. */
function expertsRead({ feedForward: { experts } }: Architecture, batch: number): number {
  if (!experts) return 0;
  return experts.count * (1 - (1 - experts.activePerToken / experts.count) ** batch);
}

/** Two ring all-reduces of 16-bit activations a layer. */
function allReduceUsPerToken({ accelerators, linkBytesPerS }: Hardware, layersTimesHidden: number): number {
  if (accelerators === 1 || linkBytesPerS === null) return 0;
  const bytes = 2 * layersTimesHidden * 2 * ((2 * (accelerators - 1)) / accelerators);
  return (bytes * 1e6) / (linkBytesPerS * LINK_SHARE);
}

/** Layers whose attention sees, and whose cache keeps, the whole context. */
function fullLayers({ attention, layers }: Architecture): number {
  return layers - (attention.slidingWindow?.layers ?? 0) - (attention.linear?.layers ?? 0);
}

function flopsPerPair(architecture: Architecture): number {
  const { headDimension, heads, mla } = architecture.attention;
  const width = mla ? headDimension + mla.ropeDimension + mla.valueDimension : 2 * headDimension;
  return 2 * fullLayers(architecture) * heads * width;
}

/** Cached elements of a token in one layer. */
function kvWidth({ attention: { headDimension, kvHeads, mla, sparse } }: Architecture): number {
  const width = mla ? mla.kvLoraRank + mla.ropeDimension : 2 * kvHeads * headDimension;
  return width + (sparse?.indexDimension ?? 0);
}

function kvBytesPerToken(architecture: Architecture, { kvBits = 16 }: Template['engine']): number {
  return (fullLayers(architecture) * kvWidth(architecture) * kvBits) / 8;
}

/** Accelerators among which a token's cache is divided: by head, or with `mla` by sequence (data-parallel attention). */
function kvShards({ attention }: Architecture, { accelerators }: Hardware): number {
  return attention.kind === 'mla' ? accelerators : Math.min(accelerators, attention.kvHeads);
}

/** What is left of memory after weights, runtime and the fixed state of every sequence, in whole 1,024 tokens. */
function kvTokens(architecture: Architecture, engine: Template['engine'], on: Hardware, weightsBytes: number): number {
  const { linear, slidingWindow } = architecture.attention;
  const windowBytes = slidingWindow
    ? (slidingWindow.layers * slidingWindow.tokens * kvWidth(architecture) * (engine.kvBits ?? 16)) / 8
    : 0;
  const stateBytes = linear ? 4 * linear.layers * linear.valueHeads * linear.keyDimension * linear.valueDimension : 0;
  const freeBytes =
    on.accelerators * (on.memoryBytes * MEMORY_SHARE - RUNTIME_BYTES) -
    weightsBytes -
    engine.sequences * (windowBytes + stateBytes);
  const copies = on.accelerators / kvShards(architecture, on);
  return Math.floor(freeBytes / (kvBytesPerToken(architecture, engine) * copies) / 1024) * 1024;
}

function digits(value: number): number {
  return Number(value.toPrecision(4));
}
