import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testStore } from '../../store/fixture.ts';
import { releaseLease, takeLease } from '../../store/lease.ts';
import { balanceMicros, checkLedger } from '../../store/ledger.ts';
import type { Store } from '../../store/store.ts';
import { insertGroup, insertTenant } from '../billing/fixture.ts';
import { settleJob } from '../billing/settle-job.ts';
import { newId } from '../call.ts';
import type { Job, JobRun } from './job.ts';
import { type RunnerDeps, runDue, startJobs } from './runner.ts';

const HOUR = 3_600_000;
const START = Date.parse('2025-04-13T16:00:00+08:00');

let store: Store;
let nowMs: number;
let errors: object[];
const log = { info: () => {}, error: (fields: object) => void errors.push(fields) };
const due = (jobs: readonly Job[], signal = new AbortController().signal) =>
  runDue(jobs, { db: store.db, now: () => nowMs, newId, log, signal });
const start = (jobs: readonly Job[], changes: Partial<RunnerDeps> = {}) =>
  startJobs({ db: store.db, now: () => nowMs, newId, log, jobs, holder: 'here', intervalMs: 1, ...changes });
const bills = () => store.db.selectFrom('bills').selectAll().orderBy('hour_from_ms').execute();

beforeEach(async () => {
  store = await testStore();
  nowMs = START;
  errors = [];
});
afterEach(() => store.close());

/** A job with a list of due times that writes down what it does. */
function diary(name: string, dueTimes: number[], written: string[], result: Partial<JobRun> = {}): Job {
  return {
    name,
    nextDueMs: async (_deps, afterMs) => dueTimes.filter((atMs) => atMs > afterMs).toSorted((a, b) => a - b)[0] ?? null,
    async run({ asOfMs }) {
      const done = dueTimes.filter((atMs) => atMs <= asOfMs);
      if (result.failures === undefined) dueTimes.splice(0, dueTimes.length, ...dueTimes.filter((at) => at > asOfMs));
      written.push(`${name}@${asOfMs - START}:${done.length}`);
      return { done: done.length, more: false, failures: [], ...result };
    },
  };
}

describe('what is due', () => {
  test('is done in order of time across jobs, in order of the list at one instant, and nothing before its time', async () => {
    const written: string[] = [];
    nowMs = START + 5;
    const jobs = [diary('a', [START + 3, START + 1, START + 9], written), diary('b', [START + 1, START + 2], written)];
    expect(await due(jobs)).toBe(START + 9);
    expect(written).toEqual(['a@1:1', 'b@1:1', 'b@2:1', 'a@3:1']);
  });

  test('what cannot be done is said once a call and holds nothing up', async () => {
    const written: string[] = [];
    const failures = [{ subject: 't-1', error: new Error('no') }];
    const jobs = [diary('a', [START], written, { failures, done: 0 }), diary('b', [START], written)];
    expect(await due(jobs)).toBeNull();
    expect(written).toEqual(['a@0:1', 'b@0:1']);
    expect(errors).toEqual([{ err: failures[0]!.error, job: 'a', subject: 't-1' }]);
  });

  test('a job that promises more and does nothing is not asked for ever', async () => {
    const written: string[] = [];
    await due([diary('a', [START], written, { more: true, done: 0, failures: [] })]);
    expect(written).toEqual(['a@0:1']);
  });

  test('a job that says the same instant again and again is not believed', async () => {
    const written: string[] = [];
    const stuck = { ...diary('a', [], written), nextDueMs: async () => START };
    expect(await due([stuck])).toBeNull();
    expect(written).toEqual(['a@0:0']);
  });

  test('a job made due by another is run at that instant, not after it', async () => {
    const written: string[] = [];
    const dueTimes: number[] = [];
    const maker: Job = {
      ...diary('maker', [START + 1, START + 4], written),
      async run({ asOfMs }) {
        written.push(`maker@${asOfMs - START}`);
        if (asOfMs === START + 1) dueTimes.push(START + 2);
        return { done: 1, more: false, failures: [] };
      },
    };
    nowMs = START + 5;
    await due([maker, diary('b', dueTimes, written)]);
    expect(written).toEqual(['maker@1', 'b@2:1', 'maker@4']);
  });
});

describe('the settle job', () => {
  async function oneGroup(): Promise<void> {
    await insertTenant(store.db, 't-1');
    const segments = [{ fromMs: START, units: 1, hourlyPriceMicros: 3_600_000n }];
    await insertGroup(store.db, 't-1', { id: 'ig-1', fromMs: START, endMs: START + 2 * HOUR, segments });
  }

  test('says when the next bill is due, goes through the past hour by hour, and then has nothing to do', async () => {
    await oneGroup();
    const job = settleJob();
    expect(await due([job])).toBe(START + 2 * HOUR);
    const asOf: number[] = [];
    const watched: Job = {
      ...job,
      run: (deps) => {
        asOf.push(deps.asOfMs);
        return job.run(deps);
      },
    };
    nowMs = START + 100 * HOUR;
    expect(await due([watched])).toBeNull();
    expect(asOf).toEqual([START + 2 * HOUR, START + 3 * HOUR]);
    expect((await bills()).map((bill) => bill.issued_at_ms)).toEqual(asOf);
  });

  test('a tenant whose zone is broken is reported, and the others get their bills', async () => {
    await oneGroup();
    await insertTenant(store.db, 't-0', 'Mars/Olympus');
    const segments = [{ fromMs: START, units: 1, hourlyPriceMicros: 1n }];
    await insertGroup(store.db, 't-0', { id: 'ig-0', fromMs: START, endMs: null, segments });
    nowMs = START + 100 * HOUR;
    await due([settleJob()]);
    expect(errors).toEqual(expect.arrayContaining([expect.objectContaining({ job: 'settle', subject: 't-0' })]));
    expect(await bills()).toHaveLength(2);
  });

  test('several runners at once issue each bill once', async () => {
    await oneGroup();
    nowMs = START + 100 * HOUR;
    const runners = ['a', 'b', 'c'].map((holder) => start([settleJob({ billsMax: 1 })], { holder }));
    await expect.poll(async () => (await bills()).length).toBe(2);
    await Promise.all(runners.map((runner) => runner.stop()));
    expect(await bills()).toHaveLength(2);
    expect(await balanceMicros(store.db, 't-1')).toBe(-7_200_000n);
    expect(await checkLedger(store.db)).toMatchObject({ balanced: true, transactions: 2 });
    expect(errors).toEqual([]);
  });
});

describe('the runner', () => {
  test('waits while another holds the lease, and takes it over when that has died', async () => {
    const written: string[] = [];
    await takeLease(store.db, { name: 'jobs', holder: 'there', ttlMs: 50_000 });
    const waiting = start([diary('a', [START], written)]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(written).toEqual([]);
    await store.db.updateTable('leases').set({ expires_at_ms: 0 }).execute(); // it took no care of it any more
    await expect.poll(() => written).toEqual(['a@0:1']);
    await waiting.stop();
    expect(await store.db.selectFrom('leases').selectAll().execute()).toEqual([]);
  });

  test('a turn that lost its lease is told to end', async () => {
    let seen: AbortSignal | undefined;
    const slow: Job = {
      name: 'slow',
      nextDueMs: async (_deps, afterMs) => (afterMs < START ? START : null),
      async run({ signal }) {
        seen ??= signal;
        while (!signal.aborted) {
          const expiresAtMs = Date.now() + 500;
          await store.db.updateTable('leases').set({ holder: 'there', expires_at_ms: expiresAtMs }).execute();
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        return { done: 0, more: true, failures: [] };
      },
    };
    const runner = start([slow], { leaseMs: 600, intervalMs: 60_000 });
    await expect.poll(() => seen?.aborted).toBe(true);
    await runner.stop();
  });

  test('a turn that fails is logged and made up for', async () => {
    const written: string[] = [];
    let broken = true;
    const job = diary('a', [START], written);
    const runner = start([
      { ...job, nextDueMs: (deps, after) => (broken ? Promise.reject(new Error('no')) : job.nextDueMs(deps, after)) },
    ]);
    await expect.poll(() => errors.length).toBeGreaterThan(0);
    broken = false;
    await expect.poll(() => written).toEqual(['a@0:1']);
    await runner.stop();
  });

  test('a stop waits for what is being done and starts nothing more', async () => {
    let ended = 0;
    const dueTimes = [START, START + 1];
    nowMs = START + 5;
    const job: Job = {
      name: 'a',
      nextDueMs: async (_deps, afterMs) => dueTimes.find((atMs) => atMs > afterMs) ?? null,
      async run() {
        await new Promise((resolve) => setTimeout(resolve, 5));
        ended += 1;
        return { done: 1, more: false, failures: [] };
      },
    };
    const runner = start([job]);
    await new Promise((resolve) => setTimeout(resolve, 2));
    await runner.stop();
    expect(ended).toBeLessThanOrEqual(1);
  });
});

describe('a lease', () => {
  const lease = (holder: string) => ({ name: 'jobs', holder, ttlMs: 60_000 });

  test("has one holder at a time, who may extend it, give it back, and not take another's away", async () => {
    expect(await takeLease(store.db, lease('a'))).toBe(true);
    expect(await takeLease(store.db, lease('b'))).toBe(false);
    expect(await takeLease(store.db, lease('a'))).toBe(true);
    await releaseLease(store.db, lease('b'));
    expect(await takeLease(store.db, lease('b'))).toBe(false);
    await releaseLease(store.db, lease('a'));
    expect(await takeLease(store.db, lease('b'))).toBe(true);
  });

  test('whose end a clock that was set back has put far away does not last for ever', async () => {
    await takeLease(store.db, lease('a'));
    const { expires_at_ms } = await store.db.selectFrom('leases').selectAll().executeTakeFirstOrThrow();
    await store.db
      .updateTable('leases')
      .set({ expires_at_ms: expires_at_ms + 1 })
      .execute();
    await store.db
      .updateTable('leases')
      .set({ expires_at_ms: expires_at_ms + 86_400_000 })
      .execute();
    expect(await takeLease(store.db, lease('b'))).toBe(true);
  });
});
