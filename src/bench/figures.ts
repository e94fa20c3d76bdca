import type { RequestRecord } from './record.ts';
import type { RunResult } from './run.ts';
import { type Percentiles, percentilesOf, wilson } from './statistics.ts';

/** What a request has to keep to count as good. A target that is not given holds always. */
export interface Slo {
  readonly ttftMsMax: number | null;
  readonly tpotMsMax: number | null;
}

export interface Goodput {
  /** Requests that met the SLO ÷ requests due; with its 95 % interval. */
  readonly share: number;
  readonly shareLow: number;
  readonly shareHigh: number;
  readonly requestsPerS: number;
  readonly ttftShare: number;
  readonly tpotShare: number;
}

export interface Summary {
  readonly sent: number;
  readonly warmUp: number;
  readonly cancelled: number;
  /** Due after the warm-up and not cancelled: what all figures are of. */
  readonly counted: number;
  readonly ok: number;
  /** Failed requests by status and code, such as `429 model_units_exhausted`. */
  readonly errors: Readonly<Record<string, number>>;
  /** From the due time to the first text, of answers that came. */
  readonly ttftMs: Percentiles | null;
  readonly tpotMs: Percentiles | null;
  readonly itlMs: Percentiles | null;
  readonly e2eMs: Percentiles | null;
  /** How late the client sent; included in TTFT and E2E. */
  readonly lagMs: Percentiles | null;
  /** Time in the server's queue, by a Cubit's receipts. */
  readonly waitMs: Percentiles | null;
  readonly retryAfterMs: Percentiles | null;
  /** From the end of the warm-up to the last due time. */
  readonly windowMs: number;
  readonly offeredPerS: number;
  readonly completedPerS: number;
  readonly promptTokensPerS: number;
  readonly outputTokensPerS: number;
  readonly promptTokens: number;
  readonly cachedShare: number;
  readonly outputTokens: number;
  /** Prompt tokens that the server counted ÷ tokens that were meant; null where it counts none. */
  readonly promptRatio: number | null;
  readonly framesPerToken: number | null;
  readonly goodput: Goodput | null;
  /** Of answers with a Cubit's receipt. */
  readonly work: { readonly receipts: number; readonly estimatedUs: number; readonly actualUs: number } | null;
  readonly inFlightPeak: number;
  /** What a reader has to know about these figures. */
  readonly notes: readonly string[];
}

export function summarise(run: RunResult, slo: Slo, warmUpMs: number): Summary {
  const counted = run.records.filter((record) => !record.warmUp && record.error !== 'cancelled');
  const ok = counted.filter((record) => record.error === null);
  const windowMs = Math.max(0, run.sentMs - warmUpMs);
  const flow = flowWithin(run.records, warmUpMs, warmUpMs + windowMs);
  const of = (rows: readonly RequestRecord[], pick: (record: RequestRecord) => number | null) =>
    percentilesOf(rows.flatMap((record) => pick(record) ?? []));
  const sum = (pick: (record: RequestRecord) => number) => ok.reduce((total, record) => total + pick(record), 0);
  const promptTokens = sum((record) => record.promptTokens);
  const outputTokens = sum((record) => record.outputTokens);
  const perS = (count: number) => (windowMs === 0 ? 0 : (count * 1000) / windowMs);
  return {
    sent: run.records.length,
    warmUp: run.records.filter((record) => record.warmUp).length,
    cancelled: run.records.filter((record) => record.error === 'cancelled').length,
    counted: counted.length,
    ok: ok.length,
    errors: errorsOf(counted),
    ttftMs: of(ok, (record) => record.ttftMs),
    tpotMs: of(ok, (record) => record.tpotMs),
    itlMs: itlOf(run),
    e2eMs: of(ok, (record) => record.e2eMs),
    lagMs: of(counted, (record) => record.lagMs),
    waitMs: of(ok, (record) => record.waitMs),
    retryAfterMs: of(counted, (record) => record.retryAfterMs),
    windowMs,
    offeredPerS: perS(counted.length),
    completedPerS: perS(flow.completed),
    promptTokensPerS: perS(flow.promptTokens),
    outputTokensPerS: perS(flow.outputTokens),
    promptTokens,
    cachedShare: promptTokens === 0 ? 0 : sum((record) => record.cachedTokens) / promptTokens,
    outputTokens,
    promptRatio: promptTokens === 0 ? null : promptTokens / sum((record) => record.promptTokensAsked),
    framesPerToken: outputTokens === 0 ? null : sum((record) => record.frames) / outputTokens,
    goodput: goodputOf(counted, slo, windowMs),
    work: workOf(ok),
    inFlightPeak: run.inFlightPeak,
    notes: notesOf(counted, run),
  };
}

/** The answer came whole, and in time. A TPOT needs two tokens; of an answer with one, only its TTFT is judged. */
export function meetsSlo(record: RequestRecord, slo: Slo): boolean {
  return record.error === null && meetsTtft(record, slo) && meetsTpot(record, slo);
}

const meetsTtft = (record: RequestRecord, { ttftMsMax }: Slo) =>
  record.error === null && (ttftMsMax === null || (record.ttftMs !== null && record.ttftMs <= ttftMsMax));
const meetsTpot = (record: RequestRecord, { tpotMsMax }: Slo) =>
  record.error === null && (tpotMsMax === null || record.tpotMs === null || record.tpotMs <= tpotMsMax);

function goodputOf(counted: readonly RequestRecord[], slo: Slo, windowMs: number): Goodput | null {
  if ((slo.ttftMsMax === null && slo.tpotMsMax === null) || counted.length === 0) return null;
  const good = counted.filter((record) => meetsSlo(record, slo)).length;
  const [shareLow, shareHigh] = wilson(good, counted.length);
  return {
    share: good / counted.length,
    shareLow,
    shareHigh,
    requestsPerS: windowMs === 0 ? 0 : (good * 1000) / windowMs,
    ttftShare: counted.filter((record) => meetsTtft(record, slo)).length / counted.length,
    tpotShare: counted.filter((record) => meetsTpot(record, slo)).length / counted.length,
  };
}

/**
 * What was delivered between two times, whichever request it was of: an answer counts where it ends, a prompt where its
 * first text comes, output tokens evenly between first text and end.
 */
function flowWithin(records: readonly RequestRecord[], fromMs: number, untilMs: number) {
  const flow = { completed: 0, promptTokens: 0, outputTokens: 0 };
  for (const record of records) {
    if (record.error !== null || record.ttftMs === null) continue;
    const firstAtMs = record.dueAtMs + record.ttftMs;
    const endAtMs = record.dueAtMs + record.e2eMs;
    const within = (ms: number) => ms >= fromMs && ms < untilMs;
    if (within(endAtMs)) flow.completed += 1;
    if (within(firstAtMs)) flow.promptTokens += record.promptTokens;
    const overlapMs = Math.max(0, Math.min(endAtMs, untilMs) - Math.max(firstAtMs, fromMs));
    const share = endAtMs > firstAtMs ? overlapMs / (endAtMs - firstAtMs) : Number(within(endAtMs));
    flow.outputTokens += record.outputTokens * share;
  }
  return flow;
}

function errorsOf(counted: readonly RequestRecord[]): Record<string, number> {
  const errors: Record<string, number> = {};
  for (const { status, error } of counted) {
    if (error === null) continue;
    const name = status === 0 ? error : `${status} ${error}`;
    errors[name] = (errors[name] ?? 0) + 1;
  }
  return errors;
}

function itlOf({ itl }: RunResult): Percentiles | null {
  if (itl.count === 0) return null;
  const [p50, p90, p95, p99] = [0.5, 0.9, 0.95, 0.99].map((share) => itl.quantileMs(share)) as [
    number,
    number,
    number,
    number,
  ];
  return { count: itl.count, mean: itl.meanMs(), p50, p90, p95, p99, max: itl.maxMs() };
}

function workOf(ok: readonly RequestRecord[]): Summary['work'] {
  const receipts = ok.filter((record) => record.estimatedUs !== null && record.actualUs !== null);
  if (receipts.length === 0) return null;
  const sum = (pick: (record: RequestRecord) => number | null) =>
    receipts.reduce((total, record) => total + (pick(record) ?? 0), 0);
  return {
    receipts: receipts.length,
    estimatedUs: sum((record) => record.estimatedUs),
    actualUs: sum((record) => record.actualUs),
  };
}

function notesOf(counted: readonly RequestRecord[], run: RunResult): string[] {
  const answered = counted.filter((record) => record.status === 200 && record.error !== 'empty_output');
  const count = (test: (record: RequestRecord) => boolean) => answered.filter(test).length;
  const limited = counted.filter((record) => record.error === 'in_flight_limit').length;
  const unfinished = counted.filter((record) => record.error === 'unfinished').length;
  const lateMs = percentilesOf(counted.map((record) => record.lagMs))?.p99 ?? 0;
  const notes: [happened: boolean | number, text: string][] = [
    [run.endedBy === 'interrupted', 'Interrupted: figures of what had ended by then.'],
    [counted.length === 0 && run.records.length > 0, 'No request was due after the warm-up: nothing is counted.'],
    [run.endedBy === 'unreachable', 'The server stopped taking connections; the test ended there.'],
    [count((row) => row.usage === 'missing'), 'answers without usage: tokens are counted as frames with text.'],
    [
      count((row) => row.usage === 'wrong'),
      'answers whose usage cannot be (fewer tokens than frames, or more than allowed): tokens are counted as frames.',
    ],
    [count((row) => row.streamed && !row.done && row.error === null), 'streams ended without [DONE].'],
    [count((row) => !row.streamed), 'answers came whole though a stream was asked for: their TTFT is their E2E.'],
    [limited, 'requests were not sent: too many were in flight (raise --in-flight-max). They count as failed.'],
    [unfinished, 'requests had no end within --drain. They count as failed.'],
    [lateMs > 20, `The client itself was late (p99 ${lateMs.toFixed(0)} ms): its machine is too busy for this load.`],
  ];
  return notes.flatMap(([happened, text]) =>
    happened === false || happened === 0 ? [] : [happened === true ? text : `${happened} ${text}`],
  );
}
