import { readdirSync, readFileSync } from 'node:fs';

const TASKS_READ_EVERY_MS = 1_000;
const SAMPLE_MS = 50;

/**
 * A clock that stands still while a process waits for a core that others use: what it measures is the engine, not its
 * neighbours. Linux says how long each thread ran and how long it waited (`schedstat`, nanoseconds); elsewhere this is an
 * ordinary clock. Of a span, the part that was not spent running was lost to others as far as threads waited in it: an
 * idle process waits for nothing, and threads that wait at the same time lose that time once.
 */
export class OwnTime {
  readonly #pid: number;
  readonly #threads: number;
  readonly #startedMs = performance.now();
  readonly #sampler: NodeJS.Timeout;
  readonly #tasks = new Map<string, { readonly ranNs: number; readonly waitedNs: number }>();
  #tasksAtMs = Number.NEGATIVE_INFINITY;
  #lastMs = this.#startedMs;
  #lostMs = 0;

  /** `threads`: how many of the process compute together. */
  constructor(pid: number, threads: number) {
    this.#pid = pid;
    this.#threads = threads;
    this.#read(this.#startedMs);
    this.#sampler = setInterval(() => this.nowMs(), SAMPLE_MS).unref();
  }

  nowMs(): number {
    const nowMs = performance.now();
    const { ranMs, waitedMs } = this.#read(nowMs);
    const idleMs = nowMs - this.#lastMs - ranMs / this.#threads;
    this.#lostMs += Math.max(0, Math.min(waitedMs, idleMs));
    this.#lastMs = nowMs;
    return nowMs - this.#lostMs;
  }

  /** Share of the time since the start that was lost to others. */
  lostShare(): number {
    return this.#lostMs / Math.max(1, performance.now() - this.#startedMs);
  }

  stop(): void {
    clearInterval(this.#sampler);
  }

  /** What all threads ran and waited since the last call. */
  #read(nowMs: number): { readonly ranMs: number; readonly waitedMs: number } {
    const folder = `/proc/${this.#pid}/task`;
    let ranNs = 0;
    let waitedNs = 0;
    for (const task of this.#ids(folder, nowMs)) {
      const now = readTask(`${folder}/${task}/schedstat`);
      if (now === null) continue;
      const before = this.#tasks.get(task);
      this.#tasks.set(task, now);
      ranNs += now.ranNs - (before?.ranNs ?? now.ranNs);
      waitedNs += now.waitedNs - (before?.waitedNs ?? now.waitedNs);
    }
    return { ranMs: ranNs / 1e6, waitedMs: waitedNs / 1e6 };
  }

  #ids(folder: string, nowMs: number): Iterable<string> {
    if (nowMs - this.#tasksAtMs < TASKS_READ_EVERY_MS) return this.#tasks.keys();
    this.#tasksAtMs = nowMs;
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  }
}

function readTask(file: string): { readonly ranNs: number; readonly waitedNs: number } | null {
  try {
    const [ran, waited] = readFileSync(file, 'utf8').split(' ');
    return { ranNs: Number(ran), waitedNs: Number(waited) };
  } catch {
    return null;
  }
}
