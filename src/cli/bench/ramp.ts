import { meetsSlo, type Slo, summarise } from '../../bench/figures.ts';
import { afterProbe, nextRate, RAMP_START, type RampLimits, type RampState } from '../../bench/ramp.ts';
import type { RequestRecord } from '../../bench/record.ts';
import type { RampProbe } from '../../bench/report.ts';
import type { RunLimits } from '../../bench/run.ts';
import { meetsAt, rampVerdict } from '../../bench/verdict.ts';
import { childSeed } from '../../workload/random.ts';
import { arrivalsOf, type BenchFlags, type Fail, limitsOf, percentileOf, rampOf, seedOf } from './flags.ts';
import type { Measured, Session } from './run.ts';
import { probeLine } from './text.ts';
import { type Chosen, ofRate } from './workload.ts';

/** A probe has at least so many requests to count, however low its rate. */
const REQUESTS_MIN = 20;
const PROBE_MS_MAX = 600_000;

/** Reads the flags of a ramp; the returned function runs it: probes until the highest rate that meets the SLO is known. */
export function rampUp(
  fail: Fail,
  flags: BenchFlags,
  slo: Slo,
  filesMax: number | null,
): (session: Session) => Promise<Measured> {
  if (slo.ttftMsMax === null && slo.tpotMsMax === null) fail('--ramp needs a target: --ttft <ms>, --tpot <ms> or both');
  for (const name of ['concurrency', 'trace', 'turns'] as const) {
    if (flags[name] !== undefined) fail(`--ramp searches a rate; it does not go with --${name}`);
  }
  const ramp = rampOf(fail, flags);
  const percentile = percentileOf(fail, flags);
  const base = limitsOf(fail, flags, ramp.probeMs, filesMax);
  const seed = seedOf(fail, flags);
  // Other texts in every probe: the answers must not come from the cache that the probe before has filled.
  const rate = (ratePerS: number, probe: number): Chosen =>
    ofRate(fail, flags, arrivalsOf(fail, flags, ratePerS), childSeed(seed, probe));
  rate(ramp.startPerS, 0);
  return (session) => search(session, { ramp, percentile, base, rate });
}

interface Job {
  readonly ramp: RampLimits & { readonly probeMs: number };
  readonly percentile: number;
  readonly base: RunLimits;
  readonly rate: (ratePerS: number, probe: number) => Chosen;
}

async function search(session: Session, job: Job): Promise<Measured> {
  const probes: RampProbe[] = [];
  let state: RampState = RAMP_START;
  let best: Measured | null = null;
  let last: Measured | null = null;
  for (let ratePerS = nextRate(state, job.ramp); ratePerS !== null; ratePerS = nextRate(state, job.ramp)) {
    last = await probeAt(session, job, ratePerS, state.probes);
    if (session.interrupted()) break;
    const summary = summarise(last.result, session.slo, last.limits.warmUpMs);
    const met = meetsAt(summary, job.percentile);
    probes.push({ ratePerS, met, summary });
    console.error(`  ${probeLine(ratePerS, met, summary)}\n`);
    state = afterProbe(state, ratePerS, met);
    if (met) best = last;
    if (last.result.endedBy === 'unreachable') break;
  }
  const interrupted = session.interrupted();
  const { percentile, ramp } = job;
  const verdict = rampVerdict(state, probes, session.slo, { percentile, precision: ramp.precision, interrupted });
  return { ...((best ?? last) as Measured), ramp: { percentile, ratePerS: state.metPerS, verdict, probes } };
}

/** Runs one rate, and ends it early once it cannot meet any more. */
async function probeAt(session: Session, job: Job, ratePerS: number, probe: number): Promise<Measured> {
  const { ramp, percentile, base } = job;
  const chosen = job.rate(ratePerS, probe);
  const measuredMs = Math.min(PROBE_MS_MAX, Math.max(ramp.probeMs - base.warmUpMs, (REQUESTS_MIN / ratePerS) * 1000));
  const missedMax = (1 - percentile / 100) * ratePerS * (measuredMs / 1000);
  // Twice what is allowed, since the number of requests is itself random.
  const hopeless = 2 * missedMax + 5;
  let missed = 0;
  const limits: RunLimits = { ...base, spanMs: base.warmUpMs + measuredMs };
  const onEnd = (record: RequestRecord) => {
    if (!record.warmUp && !meetsSlo(record, session.slo)) missed += 1;
    if (missed > hopeless) session.decide();
  };
  const result = await session.run(chosen, limits, `probe: ${chosen.workload.text}`, onEnd);
  return { chosen, limits, result, ramp: null };
}
