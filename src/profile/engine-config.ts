import type { StepParameters } from '../core/serving/fit.ts';
import type { EngineConfig } from '../sim/engine.ts';
import type { Limits } from './cells.ts';

const BLOCK_TOKENS = 16;

/** The profiled engine for the simulator, decoding at most `batch` sequences together. */
export function engineConfig({ prefillFixedUs, step }: StepParameters, limits: Limits, batch: number): EngineConfig {
  return {
    step,
    prefillFixedUs,
    sequencesMax: batch,
    stepTokensMax: limits.prefillTokensMax + limits.sequences,
    prefillTokensMax: limits.prefillTokensMax,
    kvTokens: Math.max(limits.kvTokens, limits.contextTokens + BLOCK_TOKENS),
    blockTokens: BLOCK_TOKENS,
    prefixCaching: true,
    asyncScheduling: false,
  };
}

/** The same on a machine that takes `timeScale` times as long. */
export function scaledParameters({ prefillFixedUs, step }: StepParameters, timeScale: number): StepParameters {
  return {
    prefillFixedUs: prefillFixedUs * timeScale,
    step: {
      tau0Us: step.tau0Us * timeScale,
      tau1Us: step.tau1Us * timeScale,
      tau2Us: step.tau2Us * timeScale,
      tau3Us: step.tau3Us * timeScale,
      tau4Us: step.tau4Us * timeScale,
      tau5Us: step.tau5Us * timeScale,
    },
  };
}
