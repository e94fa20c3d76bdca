import { mixedStepOf } from '../../core/serving/performance/mixed-step.ts';
import type { EngineConfig, EngineRequest } from '../../sim/engine.ts';
import type { Bundle } from './bundle.ts';
import type { BundleDeployment } from './deployment.ts';

const BLOCK_TOKENS = 16;
/** vLLM's own defaults of its server where neither flags nor the resolved settings are logged. */
const SEQUENCES_MAX = 256;
const STEP_TOKENS_MAX = 2_048;

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
export function engineConfigOf({ engine, requests }: Bundle, of: BundleDeployment, assumed: string[]): EngineConfig {
  const settle = <T>(value: T | null, fallback: T, what: string): T => {
    if (value === null) assumed.push(`${what}: ${fallback}`);
    return value ?? fallback;
  };
  const stepTokensMax = settle(engine.stepTokensMax, STEP_TOKENS_MAX, 'tokens of a step at most (vLLM’s default)');
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
    sequencesMax: settle(engine.sequencesMax, SEQUENCES_MAX, 'sequences at most (vLLM’s default)'),
    stepTokensMax,
    kvTokens: of.kvTokens,
    blockTokens: settle(engine.blockTokens, BLOCK_TOKENS, 'tokens of a KV block'),
    prefixCaching: settle(engine.prefixCaching, true, 'prefix caching'),
    asyncScheduling: settle(engine.asyncScheduling, true, 'async scheduling'),
    ranks: of.deployment.parallelism.attentionData,
  };
}
