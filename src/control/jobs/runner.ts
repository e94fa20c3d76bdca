import { releaseLease, takeLease } from '../../store/lease.ts';
import type { Job, JobDeps, JobRun } from './job.ts';

const INTERVAL_MS = 60_000;
const LEASE_MS = 60_000;
const LEASE_NAME = 'jobs';
const STEPS_MAX = 10_000;

export interface JobRunner {
  /** Ends after the transactions under way. */
  stop(): Promise<void>;
}

export interface RunnerDeps extends Omit<JobDeps, 'signal'> {
  /** In the order in which they run when they are due at the same instant. */
  readonly jobs: readonly Job[];
  /** Names this process in the lease; unlike any other's. */
  readonly holder: string;
  /** Between two turns at most; a minute unless told otherwise. */
  readonly intervalMs?: number;
  /** How long others wait for a process that died; a minute unless told otherwise. */
  readonly leaseMs?: number;
}

/**
 * Runs the jobs: a turn at once, then whenever something is due and every minute. A turn holds the lease `jobs`, so of
 * several processes one works; should it lose the lease (it slept, say), its jobs end where they are, and what the next
 * holder does beside them is done once all the same, by the jobs' own transactions. What fails is logged and done at the
 * next turn. The timer does not keep the process alive.
 */
export function startJobs(deps: RunnerDeps): JobRunner {
  const { log, intervalMs = INTERVAL_MS } = deps;
  const stopping = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let running = turn();

  async function turn(): Promise<void> {
    let waitMs = intervalMs;
    try {
      const nextMs = await leasedTurn(deps, stopping.signal);
      if (nextMs !== null) waitMs = Math.min(intervalMs, Math.max(0, nextMs - deps.now()));
    } catch (error) {
      log.error({ err: error }, 'background jobs wait for the next turn, which makes up for it');
    }
    if (stopping.signal.aborted) return;
    timer = setTimeout(() => {
      running = turn();
    }, waitMs).unref();
  }

  return {
    async stop() {
      stopping.abort();
      clearTimeout(timer);
      await running;
    },
  };
}

/** null when another process has the lease or nothing is to come. */
async function leasedTurn(deps: RunnerDeps, stopping: AbortSignal): Promise<number | null> {
  const lease = { name: LEASE_NAME, holder: deps.holder, ttlMs: deps.leaseMs ?? LEASE_MS };
  if (!(await takeLease(deps.db, lease))) return null;
  const lost = new AbortController();
  const keeping = setInterval(() => {
    takeLease(deps.db, lease).then(
      (kept) => kept || lost.abort(),
      () => lost.abort(),
    );
  }, lease.ttlMs / 3).unref();
  try {
    return await runDue(deps.jobs, { ...deps, signal: AbortSignal.any([stopping, lost.signal]) });
  } finally {
    clearInterval(keeping);
    await releaseLease(deps.db, lease);
  }
}

/**
 * Does everything that is due, earliest first across all jobs, each as of the instant it was due. A failure is not
 * tried again before the next call; a job that throws ends this one. Resolves with the next due time, or null.
 */
export async function runDue(jobs: readonly Job[], deps: JobDeps): Promise<number | null> {
  const ranToMs = new Map<Job, number>();
  for (let step = 0; step < STEPS_MAX && !deps.signal.aborted; step++) {
    const next = await earliest(jobs, deps, ranToMs);
    if (next === null || next.dueMs > deps.now()) return next?.dueMs ?? null;
    const { done, more, failures } = await next.job.run({ ...deps, asOfMs: next.dueMs });
    report(deps, next, { done, more, failures });
    if (!more || done === 0) ranToMs.set(next.job, next.dueMs);
  }
  return deps.now();
}

interface Due {
  readonly job: Job;
  readonly dueMs: number;
}

async function earliest(jobs: readonly Job[], deps: JobDeps, ranToMs: ReadonlyMap<Job, number>): Promise<Due | null> {
  let first: Due | null = null;
  for (const job of jobs) {
    const afterMs = ranToMs.get(job) ?? Number.MIN_SAFE_INTEGER;
    const dueMs = await job.nextDueMs(deps, afterMs);
    if (dueMs !== null && dueMs > afterMs && (first === null || dueMs < first.dueMs)) first = { job, dueMs };
  }
  return first;
}

function report({ log }: JobDeps, { job, dueMs }: Due, { done, more, failures }: JobRun): void {
  if (done > 0) log.info({ job: job.name, asOfMs: dueMs, done, more }, 'background job');
  for (const { subject, error } of failures) {
    log.error({ err: error, job: job.name, subject }, 'this waits for the next turn of its background job');
  }
}
