import type { Accelerator, Deployment, Format } from '../core/serving/performance/facts.ts';
import { stepModelOf, type UnitStepModel } from '../core/serving/performance/step-model.ts';
import type { Catalog, MachineType, Template } from './schema.ts';

/** The accelerator of a machine type as the performance model reads it; null where a fact is missing. */
export function acceleratorOf(machine: MachineType): Accelerator | null {
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

/** A template's deployment on the machines that decode (or prefill); null without facts of model or accelerator. */
export function deploymentOf(
  { engine, modelId, roles }: Pick<Template, 'engine' | 'modelId' | 'roles'>,
  { machineTypes, models }: Catalog,
  phase: 'prefill' | 'decode',
): Deployment | null {
  const role = roles.find((each) => each.role === phase || each.role === 'unified');
  const machine = role && machineTypes.get(role.machineTypeId);
  const accelerator = machine && acceleratorOf(machine);
  const shape = models.get(modelId)?.architecture;
  if (!role || !machine || !accelerator || !shape) return null;
  const accelerators = machine.acceleratorCount * role.machinesPerUnit;
  // A latent cache cannot be divided by head: each accelerator attends for its own sequences.
  const [tensor, attentionData] = shape.attention.kind === 'mla' ? [1, accelerators] : [accelerators, 1];
  const weights = formatOf(engine.weightBits ?? 16);
  return {
    shape,
    accelerator,
    engine: 'vllm',
    parallelism: { tensor, attentionData, pipeline: 1 },
    precision: {
      attention: weights === 'fp4' ? 'bf16' : weights,
      dense: weights,
      experts: weights,
      head: 'bf16',
      kv: formatOf(engine.kvBits ?? 16),
    },
    draftTokens: 0,
  };
}

function formatOf(bits: number): Format {
  return bits > 8 ? 'bf16' : bits > 5 ? 'fp8' : 'fp4';
}

/** The usual request that slopes are taken at: 10 : 1, and half of its answer written. */
const PROMPT_TOKENS = 2000;
const CONTEXT_TOKENS = 2100;

/** What a template's `profile` and `kvTokensPerUnit` hold when they come from facts: four digits; null without facts. */
export function unitFromFacts(template: Template, catalog: Catalog): UnitStepModel | null {
  const decode = deploymentOf(template, catalog, 'decode');
  const prefill = deploymentOf(template, catalog, 'prefill');
  if (!decode || !prefill) return null;
  const at = { sequences: template.tiers[0]!.batch, contextTokens: CONTEXT_TOKENS, promptTokens: PROMPT_TOKENS };
  const { kvTokens, prefillFixedUs, step } = stepModelOf(decode, at, prefill);
  return {
    step: {
      tau0Us: digits(step.tau0Us),
      tau1Us: digits(step.tau1Us),
      tau2Us: digits(step.tau2Us),
      tau3Us: digits(step.tau3Us),
      tau4Us: digits(step.tau4Us),
      tau5Us: digits(step.tau5Us),
    },
    prefillFixedUs: digits(prefillFixedUs),
    kvTokens: Math.floor(kvTokens / 1024) * 1024,
  };
}

function digits(value: number): number {
  return Number(value.toPrecision(4));
}
