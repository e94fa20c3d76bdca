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

type Statistic = (values: readonly number[]) => number;

/** 99th percentile: the value that 99 % do not exceed. */
export const p99: Statistic = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(0.99 * sorted.length) - 1)] ?? Number.NaN;
};

/** Means, or another statistic of the same latencies. */
export function predictedMeans(requests: readonly SimulatedRequest[], of: Statistic = mean): EngineMeans {
  return {
    ttftMs: of(requests.map(({ drainedMs, ttftMs }) => ttftMs - drainedMs)),
    tpotMs: of(requests.flatMap(({ tpotMs }) => (tpotMs === null ? [] : [tpotMs]))),
    e2eMs: of(requests.map(({ drainedMs, e2eMs }) => e2eMs - drainedMs)),
  };
}

export function measuredMeans(requests: readonly LoggedRequest[], of: Statistic = mean): EngineMeans {
  return {
    ttftMs: of(requests.map(({ firstTokenS, queuedS }) => (firstTokenS - queuedS) * 1000)),
    tpotMs: of(
      requests.flatMap(({ firstTokenS, lastTokenS, outputTokens }) =>
        outputTokens > 1 ? [((lastTokenS - firstTokenS) * 1000) / (outputTokens - 1)] : [],
      ),
    ),
    e2eMs: of(requests.map(({ lastTokenS, queuedS }) => (lastTokenS - queuedS) * 1000)),
  };
}

export function errorsOf(predicted: EngineMeans, measured: EngineMeans): EngineErrors {
  const percent = (figure: keyof EngineMeans) => (predicted[figure] / measured[figure] - 1) * 100;
  return { ttftErrPct: percent('ttftMs'), tpotErrPct: percent('tpotMs'), e2eErrPct: percent('e2eMs') };
}
