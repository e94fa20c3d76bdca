import { CONSTANTS } from './constants.ts';
import type { Accelerator, Format } from './facts.ts';

/** Leaf arithmetic of the performance model: microseconds per byte and FLOP of one accelerator. */

/** A read and a multiplication that overlap: a smooth maximum, at least the larger and at most their sum. */
export function overlapped(aUs: number, bUs: number): number {
  const p = CONSTANTS.overlapExponent;
  const larger = Math.max(aUs, bUs);
  if (larger === 0) return 0;
  return larger * ((aUs / larger) ** p + (bUs / larger) ** p) ** (1 / p);
}

/** Bytes of one stored element. */
export function bytesOf(format: Format): number {
  return CONSTANTS.formatBits[format] / 8;
}

/** Microseconds to read `bytes` at `share` of the memory bandwidth. */
export function readUs({ bandwidthBytesPerS }: Accelerator, bytes: number, share: number): number {
  return (bytes * 1e6) / (bandwidthBytesPerS * share);
}

/** Microseconds for `flops` at `share` of the peak of the format that the accelerator computes `format` in. */
export function computeUs(accelerator: Accelerator, flops: number, format: Format, share: number): number {
  return (flops * 1e6) / (peakOf(accelerator, format) * share);
}

/** What a format is multiplied in: 4-bit integers are widened to bf16, others to the next that the accelerator has. */
export function computeFormat({ flopsPerS }: Accelerator, format: Format): 'bf16' | 'fp8' | 'fp4' {
  if (format === 'fp4' && flopsPerS.fp4 !== null) return 'fp4';
  if (format === 'fp8' && flopsPerS.fp8 !== null) return 'fp8';
  return 'bf16';
}

function peakOf(accelerator: Accelerator, format: Format): number {
  const { flopsPerS } = accelerator;
  return flopsPerS[computeFormat(accelerator, format)] ?? flopsPerS.bf16;
}

/** Tables tell two generations apart; older accelerators take the figures of the earlier. */
export function tableGeneration({ generation }: Accelerator): 'hopper' | 'blackwell' {
  return generation === 'blackwell' ? 'blackwell' : 'hopper';
}

/** Share of peak FLOP/s that a large GEMM of weights in `format` reaches. */
export function gemmShare(accelerator: Accelerator, format: Format): number {
  return CONSTANTS.gemmFlopsShare[tableGeneration(accelerator)][computeFormat(accelerator, format)];
}
