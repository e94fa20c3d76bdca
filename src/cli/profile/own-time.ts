import { readdirSync, readFileSync } from 'node:fs';

const TASKS_READ_EVERY_MS = 1_000;

/**
 * A clock that stands still while a process waits for a core that others use: what it measures is the engine, not its
 * neighbours. Linux says how long each thread waited (`schedstat`, nanoseconds); elsewhere it is an ordinary clock. The
 * threads of a step wait for each other, so of `threads` that compute together each one's waiting counts in part.
 */
export class OwnTime {
  readonly #pid: number;
  readonly #threads: number;
  readonly #startedMs = performance.now();
  #tasks: readonly string[] = [];
  #tasksAtMs = Number.NEGATIVE_INFINITY;
  /** Threads that have ended keep their last figure. */
  readonly #waitedNs = new Map<string, number>();
  readonly #waitedBeforeMs: number;

  constructor(pid: number, threads: number) {
    this.#pid = pid;
    this.#threads = threads;
    this.#waitedBeforeMs = this.#waitedMs();
  }

  nowMs(): number {
    return performance.now() - (this.#waitedMs() - this.#waitedBeforeMs);
  }

  /** Share of the time since the start that the process waited for a core. */
  waitedShare(): number {
    return (this.#waitedMs() - this.#waitedBeforeMs) / Math.max(1, performance.now() - this.#startedMs);
  }

  #waitedMs(): number {
    const folder = `/proc/${this.#pid}/task`;
    const nowMs = performance.now();
    try {
      if (nowMs - this.#tasksAtMs > TASKS_READ_EVERY_MS) {
        this.#tasks = readdirSync(folder);
        this.#tasksAtMs = nowMs;
      }
    } catch {
      return 0;
    }
    for (const task of this.#tasks) {
      try {
        this.#waitedNs.set(task, Number(readFileSync(`${folder}/${task}/schedstat`, 'utf8').split(' ')[1] ?? 0));
      } catch {
        // It ended since the folder was read.
      }
    }
    let ns = 0;
    for (const [task, waited] of this.#waitedNs) ns += task === String(this.#pid) ? waited : waited / this.#threads;
    return ns / 1e6;
  }
}
