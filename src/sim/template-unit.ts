import type { Template } from '../catalog/schema.ts';
import type { UnitConfig } from './cluster/types.ts';
import type { EngineConfig } from './engine-types.ts';

/** Where the template does not say. */
const STEP_TOKENS_MAX = 2_048;
const BLOCK_TOKENS = 16;
/** 128 KB of KV a token over 50 GB/s, and a handshake. */
const TRANSFER = { transferFixedMs: 5, transferMsPerToken: 0.0026 };

/** One unit of a template, decoding `batch` sequences together: its first tier's unless told otherwise. */
export function unitOfTemplate(
  { engine, kind, kvTokensPerUnit, profile, roles, tiers }: Template,
  { batch = tiers[0]!.batch, blockTokens = BLOCK_TOKENS } = {},
): UnitConfig {
  const { prefillFixedUs, step } = profile;
  const unified: EngineConfig = {
    step,
    prefillFixedUs,
    sequencesMax: batch,
    stepTokensMax: engine.stepTokensMax ?? STEP_TOKENS_MAX,
    kvTokens: kvTokensPerUnit,
    blockTokens,
    prefixCaching: true,
    asyncScheduling: true,
  };
  if (kind === 'single') return { kind: 'unified', engine: unified };
  const machines = (role: string) => roles.find((entry) => entry.role === role)?.machinesPerUnit ?? 1;
  return {
    kind: 'disaggregated',
    // A step of prefill machines takes what its prompts take: their fixed part is in prefillFixedUs.
    prefill: { ...unified, step: { ...step, tau0Us: 0 } },
    prefillMachines: machines('prefill'),
    decode: { ...unified, prefillFixedUs: 0 },
    decodeMachines: machines('decode'),
    ...TRANSFER,
  };
}
