import { mixedStepOf } from '../../core/serving/performance/mixed-step.ts';
import type { EngineConfig, EngineRequest } from '../../sim/engine.ts';
import type { Bundle } from './bundle.ts';
import type { BundleDeployment } from './deployment.ts';

const BLOCK_TOKENS = 16;
/** vLLM's defaults where neither flags nor resolved settings are logged; larger on accelerators of 70 GiB, A100 apart. */
const DEFAULTS = { sequencesMax: 256, stepTokensMax: 2_048 };
const LARGE_DEFAULTS = { sequencesMax: 1_024, stepTokensMax: 8_192 };
const LARGE_BYTES = 70 * 2 ** 30;

/** Arrivals and lengths are all that enters of a log. */
export function loadOf({ requests }: Bundle): EngineRequest[] {
  const startS = Math.min(...requests.map(({ arrivalS }) => arrivalS));
  return requests.map(({ arrivalS, outputTokens, promptTokens }) => ({
    atMs: (arrivalS - startS) * 1000,
    promptTokens,
    outputTokens,
  }));
}

/** The simulated engine of a bundle; `assumed` grows by what the bundle does not say. */
export function engineConfigOf(
  { engine, hardware, requests }: Bundle,
  of: BundleDeployment,
  assumed: string[],
): EngineConfig {
  const settle = <T>(value: T | null, fallback: T, what: string): T => {
    if (value === null) assumed.push(`${what}: ${fallback}`);
    return value ?? fallback;
  };
  const large = hardware.memoryBytes >= LARGE_BYTES && !/a100/i.test(hardware.name);
  const defaults = large ? LARGE_DEFAULTS : DEFAULTS;
  const stepTokensMax = settle(
    engine.stepTokensMax,
    defaults.stepTokensMax,
    'tokens of a step at most (vLLM’s default)',
  );
  let context = 0;
  let output = 0;
  for (const request of requests) {
    context += request.outputTokens * (request.promptTokens + request.outputTokens / 2);
    output += request.outputTokens;
  }
  const stepAt = mixedStepOf(of.deployment, { contextTokens: context / output, chunkTokens: stepTokensMax }, of.facts);
  return {
    step: stepAt(1, 1),
    stepAt,
    prefillFixedUs: 0,
    sequencesMax: settle(engine.sequencesMax, defaults.sequencesMax, 'sequences at most (vLLM’s default)'),
    stepTokensMax,
    kvTokens: of.kvTokens,
    blockTokens: settle(engine.blockTokens, BLOCK_TOKENS, 'tokens of a KV block'),
    prefixCaching: settle(engine.prefixCaching, true, 'prefix caching'),
    asyncScheduling: settle(engine.asyncScheduling, true, 'async scheduling'),
    ranks: of.deployment.parallelism.attentionData,
  };
}
