import type { Accelerator, Format, ModelShape, Precision } from '../../core/serving/performance/facts.ts';
import type { MeasuredRow } from './rows.ts';

/** Stored formats of each part of the model that a row ran, from its precision and quantisation columns. */
export function precisionOf(row: MeasuredRow, shape: ModelShape, { generation }: Accelerator): Precision {
  // gpt-oss exists in one form: experts in 4 bits, the rest in bf16, whatever the columns say.
  if (/gpt-?oss/i.test(row.modelPath)) {
    const kv = generation === 'blackwell' ? 'fp8' : 'bf16';
    return { attention: 'bf16', dense: 'bf16', experts: 'fp4', head: 'bf16', kv };
  }
  const dense = formatOf(row.gemmMode) ?? formatOf(row.precision) ?? 'bf16';
  const experts = formatOf(row.expertMode) ?? dense;
  const fourBits = dense === 'fp4' || dense === 'int4';
  const mixture = shape.feedForward.experts !== undefined;
  // 4-bit checkpoints of mixtures quantise what feeds forward and keep attention in bf16 (their exclude lists).
  const attention = mixture && fourBits ? 'bf16' : dense;
  const kv = dense === 'bf16' || dense === 'int4' ? 'bf16' : 'fp8';
  return { attention, dense: dense === 'int4' ? 'bf16' : dense, experts, head: 'bf16', kv };
}

/** Names of engines and exporters: `nvfp4`, `w4afp8`, `int4_wo`, `fp8_block`, `float16`…; empty → null. */
function formatOf(mode: string): Format | null {
  if (mode === '') return null;
  if (mode.includes('int4') || mode.includes('w4a16')) return 'int4';
  if (mode.includes('4')) return 'fp4';
  return mode.includes('8') ? 'fp8' : 'bf16';
}
