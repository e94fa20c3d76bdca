import { Kysely } from 'kysely';
import { settleJob } from '../../control/billing/settle-job.ts';
import { TestControl } from '../../control/fixture.ts';
import { runDue } from '../../control/jobs/runner.ts';
import { overdueJob } from '../../control/overdue/job.ts';
import { recogniseJob } from '../../control/prepaid/recognise-job.ts';
import { termJob } from '../../control/prepaid/term-job.ts';
import type { Provisioner } from '../../control/provision.ts';
import { formatId, ID_BYTES, type IdKind } from '../../core/ids.ts';
import { migrate } from '../../store/migrate.ts';
import type { Database } from '../../store/schema.ts';
import { NodeSqliteDialect, openSqlite } from '../../store/sqlite-dialect.ts';
import type { Store } from '../../store/store.ts';
import { Crash, crashable } from './crash.ts';

const SLOTS = 64;
/** A death comes within so many points: early in a verb, anywhere in one, or deep in the jobs. */
const POINTS_MAX = [6, 25, 200] as const;
const DEATHS_MAX = 20;

/** A control plane that dies now and then and is started again on the same database. */
export class MortalControl {
  readonly store: Store;
  readonly crash: Crash;
  control: TestControl;
  provisioner: Provisioner;
  deaths = 0;
  readonly #random: (max: number) => number;
  readonly #deathPercent: number;
  /** By the seed as everything is: the order of ids decides who is billed first. */
  readonly #newId = (kind: IdKind) =>
    formatId(
      kind,
      Uint8Array.from({ length: ID_BYTES }, () => this.#random(256)),
    );

  private constructor(store: Store, crash: Crash, options: MortalOptions) {
    this.store = store;
    this.crash = crash;
    this.#random = options.random;
    this.#deathPercent = options.deathPercent;
    this.control = new TestControl(store);
    this.control.nowMs = options.startMs;
    this.control.fleet.slots = SLOTS;
    this.control.deps = { ...this.control.deps, newId: this.#newId };
    this.provisioner = this.newProvisioner();
  }

  static async open(options: MortalOptions): Promise<MortalControl> {
    const crash = new Crash();
    const db = new Kysely<Database>({ dialect: crashable(new NodeSqliteDialect(() => openSqlite(':memory:')), crash) });
    await migrate(db);
    return new MortalControl({ db, close: () => db.destroy() }, crash, options);
  }

  newProvisioner(): Provisioner {
    return this.control.provisioner({ newId: this.#newId });
  }

  get nowMs(): number {
    return this.control.nowMs;
  }

  set nowMs(nowMs: number) {
    this.control.nowMs = nowMs;
  }

  /**
   * Does it, whatever dies on the way: after each death it is asked for again, as a client would that got no answer.
   * `again` is called before each repetition, with the clock free to move.
   */
  async survive<T>(work: () => Promise<T>, again: () => void = () => {}): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      if (attempt < DEATHS_MAX && this.#random(100) < this.#deathPercent) {
        this.crash.arm(1 + this.#random(POINTS_MAX[this.#random(3)]!));
      }
      try {
        const answer = await work();
        if (!this.crash.dead) {
          this.crash.revive();
          return answer;
        }
      } catch (error) {
        if (!this.crash.dead) {
          this.crash.revive();
          throw error;
        }
      }
      this.#restart();
      again();
    }
  }

  /** What was only in memory is gone, workers included; the clock, the prices and the database are not. */
  #restart(): void {
    this.deaths += 1;
    this.crash.revive();
    const { nowMs, deps } = this.control;
    this.control = new TestControl(this.store);
    this.control.nowMs = nowMs;
    this.control.fleet.slots = SLOTS;
    this.control.deps = { ...this.control.deps, newId: this.#newId, catalog: deps.catalog };
    this.provisioner = this.newProvisioner();
  }

  /** Everything that is due by the clock is done, in some pieces. */
  async runJobs(): Promise<void> {
    await this.survive(async () => {
      const { catalog, changed, policy } = this.control.deps;
      const jobs = [
        settleJob({ billsMax: 1 + this.#random(200) }),
        overdueJob({ changed }),
        recogniseJob,
        termJob({ catalog, changed, policy }),
      ];
      const failures: object[] = [];
      const log = { info: () => {}, error: (fields: object) => void failures.push(fields) };
      const { signal } = new AbortController();
      const deps = { db: this.store.db, now: () => this.nowMs, newId: this.#newId, log, signal };
      for (;;) {
        const nextMs = await runDue(jobs, deps);
        if (failures.length > 0 && !this.crash.dead) throw new Error('a background job failed', { cause: failures[0] });
        if (nextMs === null || nextMs > this.nowMs || this.crash.dead) return;
      }
    });
  }
}

export interface MortalOptions {
  /** A whole number from 0 up to, not including, `max`. */
  readonly random: (max: number) => number;
  readonly startMs: number;
  /** How many of a hundred pieces of work it dies in. */
  readonly deathPercent: number;
}
