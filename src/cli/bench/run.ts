import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { csvOf } from '../../bench/csv.ts';
import type { Slo } from '../../bench/figures.ts';
import { reportHtml } from '../../bench/html/page.ts';
import { type RampReport, type Report, reportOf } from '../../bench/report.ts';
import { LoadRun, type OnEnd, probe, type RunLimits, type RunResult, type Target } from '../../bench/run.ts';
import { CubitError } from '../../core/errors.ts';
import { type BenchFlags, type Fail, limitsOf, sloOf } from './flags.ts';
import { watch } from './live.ts';
import { rampUp } from './ramp.ts';
import { type Reached, reach } from './target.ts';
import { reportText } from './text.ts';
import { type Chosen, chooseWorkload } from './workload.ts';

export interface Session {
  readonly target: Target;
  readonly slo: Slo;
  /** Runs one workload and shows it; one at a time. */
  run(chosen: Chosen, limits: RunLimits, title: string, onEnd?: OnEnd): Promise<RunResult>;
  /** Ends the run under way; its caller knows enough. */
  decide(): void;
  readonly interrupted: () => boolean;
}

export interface Measured {
  readonly chosen: Chosen;
  readonly limits: RunLimits;
  readonly result: RunResult;
  readonly ramp: RampReport | null;
}

const REQUESTS_MAX = 1_000_000;
const INTERRUPTED = 130;

/** The whole command. Resolves with the exit code. */
export async function runBench(
  fail: Fail,
  flags: BenchFlags,
  options: Parameters<typeof reach>[2] & { readonly json?: boolean },
): Promise<number> {
  const slo = sloOf(fail, flags);
  // All flags are read before anything is sent.
  const job = flags.ramp === true ? rampUp(fail, flags, slo, filesMax()) : single(fail, flags);
  const reached = await reach(fail, flags, options);
  try {
    await probe(reached.target);
    const session = startSession(reached, slo);
    const measured = await job(session);
    return finish(measured, { reached, slo, flags, json: options.json ?? false, interrupted: session.interrupted() });
  } finally {
    await reached.release();
  }
}

function single(fail: Fail, flags: BenchFlags): (session: Session) => Promise<Measured> {
  const chosen = chooseWorkload(fail, flags);
  const limits = limitsOf(fail, flags, chosen.spanMs, filesMax());
  const expected = (Number(flags.rate ?? 0) * limits.spanMs) / 1000;
  if (expected > REQUESTS_MAX && flags.requests === undefined) {
    fail(`${flags.rate} requests/s for ${limits.spanMs / 1000} s are more than ${REQUESTS_MAX}: use fewer --seconds`);
  }
  const concurrency = Number(flags.concurrency ?? 0);
  if (concurrency > limits.inFlightMax) {
    fail(
      `--concurrency ${concurrency} is over the ${limits.inFlightMax} that may be in flight (ulimit -n, --in-flight-max)`,
    );
  }
  return async (session) => ({
    chosen,
    limits,
    result: await session.run(chosen, limits, chosen.workload.text),
    ramp: null,
  });
}

function startSession(reached: Reached, slo: Slo): Session {
  let current: LoadRun | null = null;
  let interrupted = false;
  const onSignal = () => {
    // The second time somebody means it.
    if (interrupted) process.exit(INTERRUPTED);
    interrupted = true;
    current?.stop('interrupted');
  };
  return {
    target: reached.target,
    slo,
    interrupted: () => interrupted,
    decide: () => current?.stop('decided'),
    async run(chosen, limits, title, onEnd) {
      current = new LoadRun(reached.target, limits, onEnd);
      process.on('SIGINT', onSignal);
      process.on('SIGTERM', onSignal);
      const stopWatching = watch(current, title);
      try {
        if (interrupted) current.stop('interrupted');
        return await current.run(chosen.plan());
      } finally {
        stopWatching();
        process.off('SIGINT', onSignal);
        process.off('SIGTERM', onSignal);
      }
    },
  };
}

function finish(
  { chosen, limits, result, ramp }: Measured,
  given: { reached: Reached; slo: Slo; flags: BenchFlags; json: boolean; interrupted: boolean },
): number {
  const { flags, slo } = given;
  const { target } = given.reached;
  const report: Report = reportOf(result, { target, workload: chosen.workload, slo, limits, ramp });
  if (flags.save !== undefined) write(flags.save, `${JSON.stringify(report)}\n`);
  if (flags.csv !== undefined) write(flags.csv, csvOf(result.records, slo));
  if (flags.html !== undefined) write(flags.html, reportHtml(report));
  console.log(given.json ? JSON.stringify(report) : `\n${reportText(report)}`);
  if (given.interrupted) return INTERRUPTED;
  const failed =
    report.summary.ok === 0 || result.endedBy === 'unreachable' || (ramp !== null && ramp.ratePerS === null);
  return failed ? 1 : 0;
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new CubitError('internal', `${path} could not be written: ${(error as Error).message}`, { cause: error });
  }
}

/** Open files that a process of this machine may have; Node raises its own limit to the hard one. null: not known. */
function filesMax(): number | null {
  try {
    const limit = Number(execFileSync('sh', ['-c', 'ulimit -n'], { encoding: 'utf8' }).trim());
    return Number.isInteger(limit) ? limit : null;
  } catch {
    return null;
  }
}
