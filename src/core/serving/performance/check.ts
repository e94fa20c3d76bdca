import { CubitError } from '../../errors.ts';
import type { Deployment } from './facts.ts';

/** Throws `invalid_request` that names every fact a prediction cannot do without. */
export function checkDeployment({ accelerator, draftTokens, parallelism, shape }: Deployment): void {
  const { attentionData, pipeline, tensor } = parallelism;
  const { bandwidthBytesPerS, flopsPerS, linkBytesPerS, memoryBytes } = accelerator;
  const several = tensor * attentionData > 1;
  const facts: readonly (readonly [string, number | null])[] = [
    ['memory (memoryBytes)', memoryBytes],
    ['memory bandwidth (bandwidthBytesPerS)', bandwidthBytesPerS],
    ['FLOPS in bf16 (flopsPerS)', flopsPerS.bf16],
    ...(several ? [['link to the others (linkBytesPerS)', linkBytesPerS] as const] : []),
  ];
  const missing = facts.filter(([, value]) => !isPositive(value)).map(([name]) => name);
  if (missing.length > 0) {
    throw new CubitError('invalid_request', `Of the accelerator a fact is missing: give its ${missing.join(', ')}.`, {
      details: { missing },
    });
  }
  checkPositive({ layers: shape.layers, hiddenSize: shape.hiddenSize, tensor, attentionData, pipeline });
  if (!(draftTokens >= 0)) throw new CubitError('invalid_request', `draftTokens is ${draftTokens}; 0 is none.`);
}

/** Throws `invalid_request` for a number that is not positive. */
export function checkPositive(numbers: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(numbers)) {
    if (!isPositive(value)) throw new CubitError('invalid_request', `${name} is ${value}; give a positive number.`);
  }
}

function isPositive(value: number | null): boolean {
  return value !== null && Number.isFinite(value) && value > 0;
}
