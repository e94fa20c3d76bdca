import { mean } from '../../core/statistics.ts';
import type { SimulatedRequest } from '../../sim/engine.ts';
import type { LoggedRequest } from './bundle.ts';

/** Means over requests. TTFT and E2E from the moment the engine took the request from its input, as its log has it. */
export interface EngineMeans {
  readonly ttftMs: number;
  /** Over requests of two tokens and more. */
  readonly tpotMs: number;
  readonly e2eMs: number;
}

/** (predicted ÷ measured − 1) × 100. */
export interface EngineErrors {
  readonly ttftErrPct: number;
  readonly tpotErrPct: number;
  readonly e2eErrPct: number;
}

export function predictedMeans(requests: readonly SimulatedRequest[]): EngineMeans {
  return {
    ttftMs: mean(requests.map(({ drainedMs, ttftMs }) => ttftMs - drainedMs)),
    tpotMs: mean(requests.flatMap(({ tpotMs }) => (tpotMs === null ? [] : [tpotMs]))),
    e2eMs: mean(requests.map(({ drainedMs, e2eMs }) => e2eMs - drainedMs)),
  };
}

export function measuredMeans(requests: readonly LoggedRequest[]): EngineMeans {
  return {
    ttftMs: mean(requests.map(({ firstTokenS, queuedS }) => (firstTokenS - queuedS) * 1000)),
    tpotMs: mean(
      requests.flatMap(({ firstTokenS, lastTokenS, outputTokens }) =>
        outputTokens > 1 ? [((lastTokenS - firstTokenS) * 1000) / (outputTokens - 1)] : [],
      ),
    ),
    e2eMs: mean(requests.map(({ lastTokenS, queuedS }) => (lastTokenS - queuedS) * 1000)),
  };
}

export function errorsOf(predicted: EngineMeans, measured: EngineMeans): EngineErrors {
  const percent = (figure: keyof EngineMeans) => (predicted[figure] / measured[figure] - 1) * 100;
  return { ttftErrPct: percent('ttftMs'), tpotErrPct: percent('tpotMs'), e2eErrPct: percent('e2eMs') };
}
