import { acceleratorOf } from '../../catalog/from-facts.ts';
import type { Catalog } from '../../catalog/schema.ts';
import type { Accelerator, ModelShape } from '../../core/serving/performance/facts.ts';

/** Facts by the names that measured rows use; null = the catalogue has none. */
export interface FactFinder {
  shapeOf(modelPath: string): ModelShape | null;
  acceleratorOf(system: string): Accelerator | null;
}

export function createFactFinder({ machineTypes, models }: Catalog): FactFinder {
  const shapes = new Map<string, ModelShape>();
  for (const { architecture, id } of models.values()) if (architecture) shapes.set(modelKey(id), architecture);
  const accelerators = new Map<string, Accelerator>();
  for (const machine of machineTypes.values()) {
    const accelerator = acceleratorOf(machine);
    // Larger machines come later and know the link.
    if (accelerator) accelerators.set(systemKey(machine.id.replace(/-x\d+$/, '')), accelerator);
  }
  return {
    shapeOf: (modelPath) => shapes.get(modelKey(modelPath)) ?? null,
    acceleratorOf: (system) => accelerators.get(systemKey(system)) ?? null,
  };
}

/** `nvidia/Llama-3.1-8B-Instruct-FP8`, `meta-llama/Meta-Llama-3.1-8B`, `LLAMA3.1_8B` are one architecture. */
export function modelKey(modelPath: string): string {
  let key = modelPath.split('/').at(-1)!.toLowerCase();
  key = key
    .replace(/(\d)_(\d)(?![\db])/g, '$1.$2')
    .replaceAll('_', '-')
    .replace(/^(meta|nvidia)-/, '');
  while (VARIANT.test(key)) key = key.replace(VARIANT, '');
  return key.replaceAll('-', '');
}

/** Endings that say how a checkpoint was trained further, dated or stored, and change no shape. */
const VARIANT =
  /-((nvfp4|mxfp4|fp4|fp8|bf16|int4|int8|awq|gptq|w4a16|w8a8)(-v\d)?|static|dynamic|pertensor|block|instruct|chat|it|hf|base|thinking|reasoning|preview|terminus|exp|v0\.\d|v1(\.\d)?|\d{4})$/;

const SYSTEMS: Readonly<Record<string, string>> = { a100: 'a10080g', rtxpro6000server: 'rtxpro6000' };

/** `h100_sxm` → `h100`: the SXM form is the one that the catalogue names plainly. */
function systemKey(system: string): string {
  const key = system
    .toLowerCase()
    .replace(/[-_](sxm\d?|nvl\d*)$/, '')
    .replace(/[-_]/g, '');
  return SYSTEMS[key] ?? key;
}
