import type { Catalog, MachineType } from '../../catalog/schema.ts';
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
    const accelerator = acceleratorOfMachine(machine);
    // Larger machines come later and know the link.
    if (accelerator) accelerators.set(machine.id.replace(/-x\d+$/, ''), accelerator);
  }
  return {
    shapeOf: (modelPath) => shapes.get(modelKey(modelPath)) ?? null,
    acceleratorOf: (system) => accelerators.get(systemKey(system)) ?? null,
  };
}

/** `nvidia/Llama-3.1-8B-Instruct-FP8`, `meta-llama/Meta-Llama-3.1-8B` and `llama-3.1-8b-instruct` are one architecture. */
export function modelKey(modelPath: string): string {
  let key = modelPath.split('/').at(-1)!.toLowerCase().replaceAll('_', '.').replace(/^(meta|nvidia)-/, '');
  const suffix = /-(fp8|fp4|nvfp4|mxfp4|bf16|int4|int8|awq|gptq|w4a16|w8a8|static|dynamic|pertensor|per-tensor|block|instruct|chat|it|hf|base|thinking|preview|v0\.\d|\d{4}|terminus|eagle3?|reasoning|turbo|speciale|exp)$/;
  while (suffix.test(key)) key = key.replace(suffix, '');
  return key;
}

const SYSTEMS: Readonly<Record<string, string>> = { a100: 'a100-80g', 'rtx-pro-6000-server': 'rtx-pro-6000' };

/** `h100_sxm` → `h100`: the SXM form is the one that the catalogue names plainly. */
function systemKey(system: string): string {
  const key = system.toLowerCase().replaceAll('_', '-').replace(/-(sxm\d?|nvl\d*)$/, '');
  return SYSTEMS[key] ?? key;
}

export function acceleratorOfMachine(machine: MachineType): Accelerator | null {
  const { bandwidthBytesPerS, flopsFp4PerS, flopsFp8PerS, flopsPerS, generation, linkBytesPerS, memoryBytes } = machine;
  if (generation === null || memoryBytes === null || bandwidthBytesPerS === null || flopsPerS === null) return null;
  return {
    generation,
    memoryBytes,
    bandwidthBytesPerS,
    flopsPerS: { bf16: flopsPerS, fp8: flopsFp8PerS, fp4: flopsFp4PerS },
    linkBytesPerS,
  };
}
