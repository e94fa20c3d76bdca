import type { StepModel } from '../work.ts';
import type { ElasticRule, RuleFault } from './rule.ts';

/** Of one short request alone on a unit, milliseconds; no number of units makes it faster. */
export interface LeastLatency {
  readonly ttftMs: number;
  readonly tpotMs: number;
}

/** One token of prompt and one sequence that decodes (DESIGN §3, the step model). */
export function leastLatency(step: StepModel, prefillFixedUs: number): LeastLatency {
  const { tau0Us, tau1Us, tau3Us } = step;
  return { ttftMs: (prefillFixedUs + tau1Us) / 1_000, tpotMs: (tau0Us + tau3Us) / 1_000 };
}

/** Targets of a rule that cannot be met whatever scaling does: it would add units up to the maximum for nothing. */
export function faultsOfTargets(
  { tpotMsMax, ttftMsMax }: Pick<ElasticRule, 'ttftMsMax' | 'tpotMsMax'>,
  least: LeastLatency,
): RuleFault[] {
  const below = (field: 'ttftMsMax' | 'tpotMsMax', target: number | null, leastMs: number): RuleFault[] =>
    target === null || target >= leastMs
      ? []
      : [{ field, message: `is ${target} ms, but one request alone on a unit takes ${leastMs.toFixed(1)} ms` }];
  return [...below('ttftMsMax', ttftMsMax, least.ttftMs), ...below('tpotMsMax', tpotMsMax, least.tpotMs)];
}
