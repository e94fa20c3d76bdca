import type { TraceRequest } from '../../workload/trace.ts';
import { ClusterChecker } from '../check.ts';
import { checkConfig } from '../engine-input.ts';
import { Cluster } from './cluster.ts';
import type { ScaleEvent } from './fleet.ts';
import type { Distribution } from './log-histogram.ts';
import { Meter, type MeterTotals, type TimelinePoint } from './meter.ts';
import type { ClusterConfig, Policies } from './types.ts';

/** What a run gave. Latencies are of completed requests after the warm-up; TTFT counts from arrival. */
export interface SimulationResult {
  readonly requests: number;
  readonly completed: number;
  /** Refused at the door or expired in the queue. */
  readonly rejected: number;
  readonly refused: number;
  readonly expired: number;
  readonly failed: number;
  /** Requests in time ÷ all requests after the warm-up, rejected and failed ones included. */
  readonly sloAttainment: number;
  /** Requests in time, and their prompt and output tokens. */
  readonly sloMet: number;
  readonly sloMetTokens: number;
  readonly ttftMs: Distribution | null;
  readonly tpotMs: Distribution | null;
  readonly e2eMs: Distribution | null;
  /** Requests in time per second of the run. */
  readonly goodputPerS: number;
  readonly tokensPerS: number;
  /** Prompt blocks found in caches ÷ prompt blocks, partly filled ones included. */
  readonly cacheHitRate: number;
  /** The same in tokens. */
  readonly cacheHitRateTokens: number;
  /** Tokens per ready time of a machine: the most over the mean. */
  readonly loadMaxOverMean: number | null;
  /** Launch → release; and, as billed, from ready until a drain begins. */
  readonly unitHours: number;
  readonly billedUnitHours: number;
  readonly scaleEvents: number;
  readonly endS: number;
}

export interface SimulationRun {
  readonly result: SimulationResult;
  readonly timeline: readonly TimelinePoint[];
  readonly scaling: readonly ScaleEvent[];
}

const HOUR_MS = 3_600_000;

/**
 * Runs a cluster over a trace and checks the run. Throws `invalid_request` on a unit that no engine could be, an Error
 * when the run broke a rule of the checker (a defect of the simulator).
 */
export function simulateCluster(
  config: ClusterConfig,
  policies: Policies,
  trace: Iterable<TraceRequest>,
): SimulationRun {
  const { unit } = config;
  for (const engine of unit.kind === 'unified' ? [unit.engine] : [unit.prefill, unit.decode]) checkConfig(engine);
  const meter = new Meter(config);
  const checker = new ClusterChecker();
  const cluster = new Cluster(config, policies, trace, meter, checker);
  const endMs = cluster.run();
  const totals = meter.totals();
  const { billedMs, log, scaleEvents, unitMs } = cluster.fleet;
  checker.finish({ requests: totals.requests, unitMs, billedMs });
  const result = {
    ...counted(totals, endMs),
    loadMaxOverMean: meter.loadMaxOverMean(endMs),
    unitHours: unitMs / HOUR_MS,
    billedUnitHours: billedMs / HOUR_MS,
    scaleEvents,
    endS: endMs / 1000,
  };
  return { result, timeline: meter.timeline, scaling: log };
}

function counted(totals: MeterTotals, endMs: number) {
  const share = (part: number, whole: number) => (whole === 0 ? 0 : part / whole);
  const { completed, expired, failed, refused, requests } = totals;
  return {
    requests,
    completed,
    rejected: refused + expired,
    refused,
    expired,
    failed,
    sloAttainment: share(totals.inTime, totals.scored),
    sloMet: totals.inTime,
    sloMetTokens: totals.inTimeTokens,
    ttftMs: totals.ttftMs,
    tpotMs: totals.tpotMs,
    e2eMs: totals.e2eMs,
    goodputPerS: share(totals.inTime, endMs / 1000),
    tokensPerS: share(totals.promptTokens + totals.outputTokens, endMs / 1000),
    cacheHitRate: share(totals.cachedBlocks, totals.promptBlocks),
    cacheHitRateTokens: share(totals.cachedTokens, totals.promptTokens),
  };
}
