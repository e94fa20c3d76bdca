import type { RequestRecord } from './record.ts';

/** One stretch of a run. Latencies are of requests that ended in it. */
export interface TimelinePoint {
  readonly atMs: number;
  readonly duePerS: number;
  readonly completedPerS: number;
  readonly failedPerS: number;
  /** Under way at the end of the stretch. */
  readonly running: number;
  readonly outputTokensPerS: number;
  readonly ttftMsMean: number | null;
  readonly tpotMsMean: number | null;
}

const POINTS_MAX = 240;

/** At most 240 stretches of whole seconds (or a fraction, in a short run). */
export function timelineOf(records: readonly RequestRecord[], elapsedMs: number): TimelinePoint[] {
  const widthMs = elapsedMs <= 30_000 ? Math.max(100, elapsedMs / 60) : Math.ceil(elapsedMs / POINTS_MAX / 1000) * 1000;
  const size = Math.max(1, Math.ceil(elapsedMs / widthMs));
  const blank = () => ({
    due: 0,
    ended: 0,
    completed: 0,
    failed: 0,
    tokens: 0,
    ttft: [] as number[],
    tpot: [] as number[],
  });
  const stretches = Array.from({ length: size }, blank);
  const at = (ms: number) =>
    stretches[Math.min(size - 1, Math.max(0, Math.floor(ms / widthMs)))] as ReturnType<typeof blank>;
  for (const record of records) {
    const end = at(record.dueAtMs + record.e2eMs);
    at(record.dueAtMs).due += 1;
    end.ended += 1;
    if (record.error === null) end.completed += 1;
    else end.failed += 1;
    end.tokens += record.outputTokens;
    if (record.ttftMs !== null) end.ttft.push(record.ttftMs);
    if (record.tpotMs !== null) end.tpot.push(record.tpotMs);
  }
  const mean = (values: readonly number[]) =>
    values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  let running = 0;
  return stretches.map((stretch, index) => {
    running += stretch.due - stretch.ended;
    const perS = 1000 / widthMs;
    return {
      atMs: index * widthMs,
      duePerS: stretch.due * perS,
      completedPerS: stretch.completed * perS,
      failedPerS: stretch.failed * perS,
      running,
      outputTokensPerS: stretch.tokens * perS,
      ttftMsMean: mean(stretch.ttft),
      tpotMsMean: mean(stretch.tpot),
    };
  });
}
