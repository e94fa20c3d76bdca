import { CubitError } from '../core/errors.ts';

/** One request of a trace, whatever file it came from: when it arrives, how long it is, what it shares with others. */
export interface TraceRequest {
  /** Since the trace's first request. */
  readonly atMs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Ids of the prompt's blocks in order, `Trace.blockTokens` each (the last may be shorter): equal ids, equal text. */
  readonly blocks?: readonly number[];
}

export interface Trace {
  /** In order of time; the first at 0. */
  readonly requests: readonly TraceRequest[];
  /** Tokens of a block; 0 where the trace has none. */
  readonly blockTokens: number;
  /** What was mended while reading, for people. */
  readonly repairs: readonly string[];
}

/** Puts rows in order of time, from 0 on, and says what it had to do. Throws `invalid_request` on an empty trace. */
export function traceOf(rows: readonly TraceRequest[], blockTokens = 0, repairs: readonly string[] = []): Trace {
  if (rows.length === 0) throw new CubitError('invalid_request', 'The trace has no requests.');
  const late = rows.filter((row, index) => index > 0 && row.atMs < (rows[index - 1] as TraceRequest).atMs).length;
  const sorted = late === 0 ? rows : [...rows].sort((a, b) => a.atMs - b.atMs);
  const startMs = (sorted[0] as TraceRequest).atMs;
  const requests = startMs === 0 ? sorted : sorted.map((row) => ({ ...row, atMs: row.atMs - startMs }));
  const disorder = late === 0 ? [] : [`${late} of ${rows.length} rows came before the row above them: sorted by time`];
  return { requests, blockTokens, repairs: [...repairs, ...disorder] };
}

/** The requests that arrive in [fromMs, untilMs), moved to begin at 0. Throws `invalid_request` when there are none. */
export function cutWindow(trace: Trace, fromMs: number, untilMs: number): Trace {
  const requests = trace.requests
    .filter((row) => row.atMs >= fromMs && row.atMs < untilMs)
    .map((row) => ({ ...row, atMs: row.atMs - fromMs }));
  if (requests.length > 0) return { ...trace, requests };
  const spanS = ((trace.requests.at(-1)?.atMs ?? 0) / 1000).toFixed(0);
  throw new CubitError(
    'invalid_request',
    `No request of the trace arrives from ${fromMs / 1000} s until ${untilMs / 1000} s: it lasts ${spanS} s.`,
  );
}

/** Arrival times multiplied: 0.5 sends the same requests in half the time. */
export function scaleTime(trace: Trace, factor: number): Trace {
  return { ...trace, requests: trace.requests.map((row) => ({ ...row, atMs: row.atMs * factor })) };
}

export interface LengthLimits {
  /** Both lengths are multiplied by this. */
  readonly scale: number;
  readonly promptTokensMax: number;
  readonly outputTokensMax: number;
}

/**
 * Lengths multiplied and capped, at least 1 token each. Blocks shrink by the same factor, so that what was shared stays
 * shared in the same proportion; a capped prompt keeps its first blocks.
 */
export function scaleLengths(trace: Trace, limits: LengthLimits): Trace {
  const blockTokens = trace.blockTokens === 0 ? 0 : Math.max(1, Math.round(trace.blockTokens * limits.scale));
  const requests = trace.requests.map((row) => {
    const length = (tokens: number, max: number) => Math.min(max, Math.max(1, Math.round(tokens * limits.scale)));
    const promptTokens = length(row.promptTokens, limits.promptTokensMax);
    const outputTokens = length(row.outputTokens, limits.outputTokensMax);
    if (row.blocks === undefined) return { atMs: row.atMs, promptTokens, outputTokens };
    const blocks = row.blocks.slice(0, Math.ceil(promptTokens / blockTokens));
    return { atMs: row.atMs, promptTokens: Math.min(promptTokens, blocks.length * blockTokens), outputTokens, blocks };
  });
  return { ...trace, requests, blockTokens };
}

export interface TraceFacts {
  readonly requests: number;
  readonly spanMs: number;
  readonly promptTokensMean: number;
  readonly outputTokensMean: number;
  /** The longest time without an arrival, and when it begins: a hole in the recording shows here. */
  readonly gapMsMax: number;
  readonly gapFromMs: number;
  /** Requests that ask for no output; a load test asks for one token instead. */
  readonly zeroOutputs: number;
}

export function factsOf({ requests }: Trace): TraceFacts {
  const mean = (of: (row: TraceRequest) => number) => requests.reduce((sum, row) => sum + of(row), 0) / requests.length;
  let gapMsMax = 0;
  let gapFromMs = 0;
  for (let index = 1; index < requests.length; index += 1) {
    const fromMs = (requests[index - 1] as TraceRequest).atMs;
    const gapMs = (requests[index] as TraceRequest).atMs - fromMs;
    if (gapMs > gapMsMax) [gapMsMax, gapFromMs] = [gapMs, fromMs];
  }
  return {
    requests: requests.length,
    spanMs: requests.at(-1)?.atMs ?? 0,
    promptTokensMean: mean((row) => row.promptTokens),
    outputTokensMean: mean((row) => row.outputTokens),
    gapMsMax,
    gapFromMs,
    zeroOutputs: requests.filter((row) => row.outputTokens === 0).length,
  };
}

/** A row that cannot be read. */
export function badLine(line: number, wanted: string, text: string): CubitError {
  return new CubitError('invalid_request', `line ${line} is not ${wanted}: ${text.slice(0, 80)}`);
}

/** A count of tokens as a trace may state it. */
export function isTokenCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
