import type { Template, Tier } from '../catalog/schema.ts';
import { STEP_TOKENS_MAX } from '../catalog/tiers.ts';
import type { LatencyGuard } from '../core/serving/latency-guard.ts';

/** Of its own prefill that a first token may take beyond the tier's TTFT. */
const PREFILL_FACTOR = 2;
/** Longer than anything takes; not Infinity, for which JSON has no word. */
const NO_PROMISE_MS = Number.MAX_SAFE_INTEGER;

/**
 * What a tier promises, for the gateway's guard: the p95 latencies that it was rated with at utilisation 1/k. A tier without
 * a rating promises nothing, and nothing is refused for it. On a machine that is `timeScale` times as slow as the one that
 * was profiled, steps take longer and the promise is as much longer. null: prefill and decode are apart, which the guard's
 * model of a step does not describe.
 */
export function latencyOf(template: Template, tier: Tier, timeScale: number): LatencyGuard | null {
  if (template.kind !== 'single') return null;
  const { step } = template.profile;
  const slower = Math.max(1, timeScale);
  return {
    step: {
      tau0Us: step.tau0Us * timeScale,
      tau1Us: step.tau1Us * timeScale,
      tau2Us: step.tau2Us * timeScale,
      tau3Us: step.tau3Us * timeScale,
      tau4Us: step.tau4Us * timeScale,
      tau5Us: step.tau5Us * timeScale,
    },
    stepTokensMax: template.engine.stepTokensMax ?? STEP_TOKENS_MAX,
    ttftMsMax: (tier.ttftMs?.p95 ?? NO_PROMISE_MS) * slower,
    ttftPrefillFactor: PREFILL_FACTOR,
    tpotMsMax: (tier.tpotMs?.p95 ?? NO_PROMISE_MS) * slower,
    slowness: slower,
  };
}
