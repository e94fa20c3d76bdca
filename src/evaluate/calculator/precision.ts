import type { Format, ModelShape, Precision } from '../../core/serving/performance/facts.ts';
import type { MeasuredRow } from './rows.ts';

/** Stored formats of each part of the model that a row ran, from its precision and quantisation columns. */
export function precisionOf(row: MeasuredRow, shape: ModelShape): Precision {
  const dense = formatOf(row.gemmMode) ?? formatOf(row.precision) ?? 'bf16';
  const experts = formatOf(row.expertMode) ?? dense;
  const mixture = shape.feedForward.experts !== undefined;
  // 4-bit checkpoints of mixtures quantise the experts and keep attention (and gpt-oss everything else) in bf16.
  const fourBits = dense === 'fp4' || dense === 'int4';
  const attention = mixture && fourBits ? 'bf16' : dense;
  const named = row.modelPath.toLowerCase().includes('gpt-oss');
  return {
    attention: named ? 'bf16' : attention,
    dense: named ? 'bf16' : dense,
    experts: named ? 'fp4' : experts,
    head: 'bf16',
    kv: dense === 'bf16' || dense === 'int4' || named ? 'bf16' : 'fp8',
  };
}

/** Names of engines and exporters: `nvfp4`, `w4afp8`, `int4_wo`, `fp8_block`, `float16`…; empty → null. */
function formatOf(mode: string): Format | null {
  if (mode === '') return null;
  if (mode.includes('int4') || mode.includes('w4a16')) return 'int4';
  if (mode.includes('4')) return 'fp4';
  return mode.includes('8') ? 'fp8' : 'bf16';
}
