import type { LoadRun } from '../../bench/run.ts';
import { percentilesOf } from '../../bench/statistics.ts';
import { bar, liveScreen } from '../screen.ts';

const REDRAW_MS = 250;
const QUIET_MS = 5_000;
/** Figures on the screen are of requests that ended in the last 10 s, at most so many. */
const WINDOW_MS = 10_000;
const WINDOW_REQUESTS_MAX = 5_000;

/** Redraws a run's state until the returned function is called. On stderr: stdout is the report's. */
export function watch(run: LoadRun, title: string): () => void {
  const screen = liveScreen(QUIET_MS, process.stderr);
  const draw = () => screen.draw(...view(run, title));
  const ticker = setInterval(draw, REDRAW_MS);
  return () => {
    clearInterval(ticker);
    draw();
  };
}

function view(run: LoadRun, title: string): [rows: string[], short: string] {
  const nowMs = run.nowMs();
  const { spanMs, requestsMax, warmUpMs } = run.limits;
  const share = Math.max(nowMs / spanMs, run.sent / requestsMax);
  const recent = recentOf(run, nowMs);
  const perS = (count: number) => ((count * 1000) / Math.min(WINDOW_MS, nowMs)).toFixed(1);
  const figures = (pick: (record: (typeof recent)[number]) => number | null) => {
    const found = percentilesOf(recent.flatMap((record) => pick(record) ?? []));
    return found === null ? '–' : `${found.p50.toFixed(0)} / ${found.p95.toFixed(0)} ms`;
  };
  const ok = recent.filter((record) => record.error === null);
  const failed = run.records.reduce((sum, record) => sum + Number(record.error !== null), 0);
  const tokens = ok.reduce((sum, record) => sum + record.outputTokens, 0);
  const phase =
    nowMs < warmUpMs ? 'warm-up' : run.stopping.aborted || nowMs > spanMs ? 'waiting for the last' : 'measuring';
  const ttft = figures((record) => record.ttftMs);
  const tpot = figures((record) => record.tpotMs);
  const time = `${(nowMs / 1000).toFixed(0)} s`;
  return [
    [
      `  ${title}`,
      `  ${bar(share)} ${time.padStart(6)}  ${phase}`,
      `  sent ${run.sent}   ended ${run.records.length}   failed ${failed}   running ${run.inFlight}`,
      `  last 10 s: ${perS(ok.length)} answers/s, ${perS(tokens)} output tokens/s   TTFT p50 / p95 ${ttft}   TPOT ${tpot}`,
    ],
    `  ${time} (${phase}): sent ${run.sent}, ended ${run.records.length}, failed ${failed}, running ${run.inFlight}, TTFT ${ttft}, TPOT ${tpot}`,
  ];
}

/** Records come in the order in which requests ended. */
function recentOf(run: LoadRun, nowMs: number) {
  const recent: (typeof run.records)[number][] = [];
  for (let index = run.records.length - 1; index >= 0 && recent.length < WINDOW_REQUESTS_MAX; index -= 1) {
    const record = run.records[index] as (typeof run.records)[number];
    if (record.dueAtMs + record.e2eMs < nowMs - WINDOW_MS) break;
    recent.push(record);
  }
  return recent;
}
