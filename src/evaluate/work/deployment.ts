import { acceleratorOf } from '../../catalog/from-facts.ts';
import type { Catalog } from '../../catalog/schema.ts';
import type {
  Accelerator,
  Deployment,
  Format,
  ModelShape,
  Parallelism,
  Precision,
} from '../../core/serving/performance/facts.ts';
import { createFactFinder } from '../calculator/facts.ts';
import type { Cell } from './cells.ts';

/** The deployment that a cell measured, or why there are no facts for it. */
export type Found = { readonly deployment: Deployment } | { readonly reason: string };

export function createDeploymentFinder(catalog: Catalog): (cell: Cell) => Found {
  const facts = createFactFinder(catalog);
  return (cell) => {
    const shape = facts.shapeOf(cell.model);
    if (shape === null) return { reason: `the catalogue has no architecture of a model ${cell.model}` };
    const accelerator = facts.acceleratorOf(cell.gpu) ?? acceleratorByName(catalog, cell.gpu);
    if (accelerator === null) {
      const four = 'memory, bandwidth, FLOP/s and link bandwidth';
      return { reason: `the catalogue has no machine type with a ${cell.gpu}: add one with its four facts, ${four}` };
    }
    const parallelism = parallelismOf(cell.parallel);
    if (parallelism === null)
      return { reason: `parallel is “${cell.parallel}”: known are TPn, EPn, TEPn, DPn, DEPn, PPn` };
    const precision = precisionOf(cell, shape);
    if (precision === null) return { reason: `precision is “${cell.precision}”: known are BF16, FP16, FP8, FP4, INT4` };
    return { deployment: { shape, accelerator, engine: 'trtllm', parallelism, precision, draftTokens: 0 } };
  };
}

/** The one accelerator whose name has all of these words, in any order: `RTX 6000 Pro Blackwell Server Edition`. */
function acceleratorByName({ machineTypes }: Catalog, gpu: string): Accelerator | null {
  const wordsOf = (name: string) => name.toLowerCase().match(/\d+(?=gb\b)|[a-z0-9]+/g) ?? [];
  const wanted = wordsOf(gpu);
  const found = new Map<string, Accelerator>();
  for (const machine of machineTypes.values()) {
    const words = new Set(wordsOf(machine.accelerator ?? ''));
    const accelerator = wanted.length > 0 && wanted.every((word) => words.has(word)) ? acceleratorOf(machine) : null;
    // Larger machines come later and know the link.
    if (accelerator) found.set(machine.accelerator as string, accelerator);
  }
  return found.size === 1 ? ([...found.values()][0] ?? null) : null;
}

/**
 * `TP2`, `DEP4` (attention data-parallel, experts spread whole), `TEP8` (attention divided too), `TP4PP2`; null = unknown.
 * Without an E experts are cut by width.
 */
export function parallelismOf(text: string): Parallelism | null {
  const sizes = { tensor: 1, attentionData: 1, expert: 1, pipeline: 1 };
  const parts = text.toUpperCase().match(/[A-Z]+\s*=?\s*\d+/g) ?? [];
  if (parts.length === 0 || text.replace(/[A-Za-z]+\s*=?\s*\d+/g, '').replace(/[\s,/x+-]/g, '') !== '') return null;
  for (const part of parts) {
    const size = Number(/\d+/.exec(part)?.[0]);
    const kind = /^[A-Z]+/.exec(part)?.[0] ?? '';
    if (size < 1) return null;
    if (kind === 'TP' || kind === 'TEP') sizes.tensor = size;
    else if (kind === 'DP' || kind === 'DEP') sizes.attentionData = size;
    else if (kind === 'PP') sizes.pipeline = size;
    // Beside others it says how the same accelerators divide experts; alone it names them.
    else if (kind === 'EP') sizes.tensor = parts.length === 1 ? size : sizes.tensor;
    else return null;
    if (kind.includes('E')) sizes.expert = size;
  }
  return sizes;
}

/** Formats by part. 4-bit checkpoints of mixtures keep attention in bf16, gpt-oss (MXFP4) all but the experts. */
function precisionOf({ model, precision }: Cell, { feedForward }: ModelShape): Precision | null {
  const format = formatOf(precision);
  if (format === null) return null;
  const kv = format === 'fp8' || format === 'fp4' ? 'fp8' : 'bf16';
  if (/gpt[-_ ]?oss/i.test(model)) {
    return { attention: 'bf16', dense: 'bf16', experts: 'fp4', head: 'bf16', kv };
  }
  const attention = feedForward.experts && (format === 'fp4' || format === 'int4') ? 'bf16' : format;
  return { attention, dense: format, experts: format, head: 'bf16', kv };
}

function formatOf(precision: string): Format | null {
  const name = precision.toLowerCase();
  if (/^(nv|mx)?fp4$/.test(name)) return 'fp4';
  if (/^(mx)?fp8$/.test(name)) return 'fp8';
  if (name === 'bf16' || name === 'fp16') return 'bf16';
  return name === 'int4' || name === 'w4a16' ? 'int4' : null;
}
