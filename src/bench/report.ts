import { type Slo, type Summary, summarise } from './figures.ts';
import type { Bin } from './histogram.ts';
import type { RequestRecord } from './record.ts';
import type { RunLimits, RunResult, Target } from './run.ts';
import { type TimelinePoint, timelineOf } from './timeline.ts';

export interface Workload {
  readonly mode: 'rate' | 'concurrency' | 'trace' | 'multi-turn';
  /** For people. */
  readonly text: string;
  /** Equal for runs that send the same requests at the same times. */
  readonly fingerprint: string;
  readonly seed: number;
  /** What was mended in the trace, its gaps, and so on. */
  readonly notes: readonly string[];
}

export interface RampProbe {
  readonly ratePerS: number;
  readonly met: boolean;
  readonly summary: Summary;
}

export interface RampReport {
  readonly percentile: number;
  /** The highest rate that met the SLO; null when even the lowest did not. */
  readonly ratePerS: number | null;
  readonly verdict: string;
  readonly probes: readonly RampProbe[];
}

/** Which probe a ramp's report shows in full. */
export const lastProbe = (ramp: RampReport) =>
  ramp.ratePerS === null ? 'The last probe' : 'The last probe that met the targets';

/** What `--json` prints, `--save` writes and `cubit bench compare` reads. */
export interface Report {
  readonly kind: 'cubit-bench';
  readonly version: 1;
  readonly at: string;
  readonly target: { readonly url: string; readonly model: string };
  readonly workload: Workload;
  readonly slo: Slo;
  readonly limits: RunLimits;
  readonly endedBy: RunResult['endedBy'];
  readonly elapsedMs: number;
  readonly summary: Summary;
  readonly ramp: RampReport | null;
  readonly timeline: readonly TimelinePoint[];
  readonly itl: readonly Bin[];
  /** Counted requests in order of their due time; every n-th where there are more than 10,000. */
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly index: number;
  readonly error: string | null;
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly e2eMs: number;
}

const SAMPLES_MAX = 10_000;

export function reportOf(
  run: RunResult,
  given: { target: Target; workload: Workload; slo: Slo; limits: RunLimits; ramp: RampReport | null },
): Report {
  return {
    kind: 'cubit-bench',
    version: 1,
    at: new Date(run.startedAtMs).toISOString(),
    target: { url: given.target.url, model: given.target.model },
    workload: given.workload,
    slo: given.slo,
    limits: given.limits,
    endedBy: run.endedBy,
    elapsedMs: run.elapsedMs,
    summary: summarise(run, given.slo, given.limits.warmUpMs),
    ramp: given.ramp,
    timeline: timelineOf(run.records, run.elapsedMs),
    itl: run.itl.bins(),
    samples: samplesOf(run.records),
  };
}

function samplesOf(records: readonly RequestRecord[]): Sample[] {
  const counted = records
    .filter((record) => !record.warmUp && record.error !== 'cancelled')
    .sort((a, b) => a.index - b.index);
  const every = Math.ceil(counted.length / SAMPLES_MAX);
  const round = (ms: number | null) => (ms === null ? null : Math.round(ms * 1000) / 1000);
  return counted
    .filter((_, index) => index % every === 0)
    .map(({ index, error, ttftMs, tpotMs, e2eMs }) => ({
      index,
      error,
      ttftMs: round(ttftMs),
      tpotMs: round(tpotMs),
      e2eMs: round(e2eMs) as number,
    }));
}

/** A file that `--json` or `--save` may have written. */
export function isReport(value: unknown): value is Report {
  const report = value as Partial<Report> | null;
  return (
    typeof report === 'object' &&
    report?.kind === 'cubit-bench' &&
    report.version === 1 &&
    Array.isArray(report.samples) &&
    typeof report.workload?.fingerprint === 'string' &&
    typeof report.summary === 'object'
  );
}
