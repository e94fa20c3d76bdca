import type { TimedReply } from './client.ts';

/** What became of one request. Times in ms; those named `…AtMs` since the run began. */
export interface RequestRecord {
  readonly index: number;
  /** When it was due: latencies count from here, so that a late client cannot hide a slow server. */
  readonly dueAtMs: number;
  /** Sent after it was due. */
  readonly lagMs: number;
  /** Sent in the warm-up: not part of the figures. */
  readonly warmUp: boolean;
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** null: the whole answer came. Else an error's code; `empty_output`, `stream_cut`, `unfinished`, `cancelled`, `in_flight_limit`. */
  readonly error: string | null;
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  readonly promptTokensAsked: number;
  readonly outputTokensMax: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly frames: number;
  readonly usage: TimedReply['usage'];
  readonly streamed: boolean;
  readonly done: boolean;
  readonly retryAfterMs: number | null;
  /** From a Cubit's receipt: unit-microseconds, and time in its queue. */
  readonly estimatedUs: number | null;
  readonly actualUs: number | null;
  readonly waitMs: number | null;
}

export interface Due {
  readonly index: number;
  readonly dueAtMs: number;
  readonly sentAtMs: number;
  readonly warmUp: boolean;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export function recordOf(due: Due, reply: TimedReply): RequestRecord {
  const lagMs = due.sentAtMs - due.dueAtMs;
  const receipt = receiptOf(reply.receipt);
  return {
    ...blank(due),
    status: reply.status,
    error: reply.error ?? faultOf(reply),
    ttftMs: reply.ttftMs === null ? null : reply.ttftMs + lagMs,
    tpotMs: reply.tpotMs,
    e2eMs: reply.e2eMs + lagMs,
    promptTokens: reply.promptTokens,
    cachedTokens: reply.cachedTokens,
    outputTokens: reply.outputTokens,
    frames: reply.frames,
    usage: reply.usage,
    streamed: reply.streamed,
    done: reply.done,
    retryAfterMs: reply.retryAfterMs,
    ...receipt,
  };
}

/** A request without an answer. */
export function failedRecord(due: Due, error: string, endAtMs: number): RequestRecord {
  return { ...blank(due), error, e2eMs: endAtMs - due.dueAtMs };
}

function blank(due: Due): RequestRecord {
  return {
    index: due.index,
    dueAtMs: due.dueAtMs,
    lagMs: due.sentAtMs - due.dueAtMs,
    warmUp: due.warmUp,
    status: 0,
    error: null,
    ttftMs: null,
    tpotMs: null,
    e2eMs: 0,
    promptTokensAsked: due.promptTokens,
    outputTokensMax: due.outputTokens,
    promptTokens: 0,
    cachedTokens: 0,
    outputTokens: 0,
    frames: 0,
    usage: 'missing',
    streamed: false,
    done: false,
    retryAfterMs: null,
    estimatedUs: null,
    actualUs: null,
    waitMs: null,
  };
}

/** An answer with status 200 that is none: without text, or cut before its end. */
function faultOf(reply: TimedReply): string | null {
  if (reply.frames === 0) return 'empty_output';
  return reply.streamed && !reply.done && !reply.finished ? 'stream_cut' : null;
}

function receiptOf(receipt: TimedReply['receipt']) {
  const work = (name: string) => {
    const pools = receipt?.[name] as { prefill_us?: unknown; decode_us?: unknown } | undefined;
    const us = Number(pools?.prefill_us) + Number(pools?.decode_us);
    return Number.isFinite(us) ? us : null;
  };
  const wait = receipt?.['wait_ms'];
  return {
    estimatedUs: work('estimated'),
    actualUs: work('actual'),
    waitMs: typeof wait === 'number' ? wait : null,
  };
}
