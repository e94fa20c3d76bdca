import type { RequestRecord } from './record.ts';

/** One stretch of a run. Latencies are of requests that ended in it. */
export interface TimelinePoint {
  readonly atMs: number;
  readonly duePerS: number;
  readonly completedPerS: number;
  readonly failedPerS: number;
  /** Under way at the end of the stretch. */
  readonly running: number;
  /** An answer's tokens are spread evenly between its first text and its end. */
  readonly outputTokensPerS: number;
  readonly ttftMsMean: number | null;
  readonly tpotMsMean: number | null;
}

const POINTS_MIN = 12;
const POINTS_MAX = 240;
/** Stretches are wide enough for about so many requests. */
const REQUESTS_EACH = 6;

export function timelineOf(records: readonly RequestRecord[], elapsedMs: number): TimelinePoint[] {
  const size = Math.min(POINTS_MAX, Math.max(POINTS_MIN, Math.floor(records.length / REQUESTS_EACH)));
  const widthMs = Math.max(1, elapsedMs / size);
  const stretches = Array.from({ length: size }, () => new Stretch());
  const indexOf = (ms: number) => Math.min(size - 1, Math.max(0, Math.floor(ms / widthMs)));
  const at = (ms: number) => stretches[indexOf(ms)] as Stretch;
  for (const record of records) {
    const endMs = record.dueAtMs + record.e2eMs;
    at(record.dueAtMs).due += 1;
    at(endMs).end(record);
    if (record.ttftMs === null) continue;
    const [first, last] = [indexOf(record.dueAtMs + record.ttftMs), indexOf(endMs)];
    for (let index = first; index <= last; index += 1) {
      (stretches[index] as Stretch).tokens += record.outputTokens / (last - first + 1);
    }
  }
  let running = 0;
  return stretches.map((stretch, index) => {
    running += stretch.due - stretch.completed - stretch.failed;
    return { atMs: index * widthMs, running, ...stretch.figures(widthMs) };
  });
}

class Stretch {
  due = 0;
  completed = 0;
  failed = 0;
  tokens = 0;
  readonly #ttft: number[] = [];
  readonly #tpot: number[] = [];

  end(record: RequestRecord): void {
    if (record.error === null) this.completed += 1;
    else this.failed += 1;
    if (record.ttftMs !== null) this.#ttft.push(record.ttftMs);
    if (record.tpotMs !== null) this.#tpot.push(record.tpotMs);
  }

  figures(widthMs: number): Omit<TimelinePoint, 'atMs' | 'running'> {
    const perS = 1000 / widthMs;
    return {
      duePerS: this.due * perS,
      completedPerS: this.completed * perS,
      failedPerS: this.failed * perS,
      outputTokensPerS: this.tokens * perS,
      ttftMsMean: meanOf(this.#ttft),
      tpotMsMean: meanOf(this.#tpot),
    };
  }
}

const meanOf = (values: readonly number[]) =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
