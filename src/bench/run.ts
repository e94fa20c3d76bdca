import { setMaxListeners } from 'node:events';
import { Pool } from 'undici';
import { CubitError } from '../core/errors.ts';
import { httpTransport } from '../engine/openai-http/client.ts';
import { type ChatCall, type TimedReply, timedChat } from './client.ts';
import { drive } from './drive.ts';
import { Histogram } from './histogram.ts';
import type { Plan } from './plan.ts';
import { type Due, failedRecord, type RequestRecord, recordOf } from './record.ts';

export interface Target {
  readonly url: string;
  readonly apiKey: string;
  readonly model: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly extraBody: Readonly<Record<string, unknown>>;
}

export interface RunLimits {
  /** No request is due after this; the last ones may end later. */
  readonly spanMs: number;
  /** Requests due before this are sent and not counted. */
  readonly warmUpMs: number;
  readonly requestsMax: number;
  /** A request that is due while so many are under way is not sent, and counts as failed. */
  readonly inFlightMax: number;
  /** How long the last requests may take after the span; then they count as `unfinished`. */
  readonly drainMs: number;
  /** Silence that ends a request. */
  readonly silenceMsMax: number;
}

/** Called when a request has ended, with the answer where there was one. */
export type OnEnd = (record: RequestRecord, reply: TimedReply | null) => void;

/**
 * plan: all sent and ended. interrupted: by a person. decided: its caller knew enough. unreachable: the server stopped taking
 * connections.
 */
export type RunEnd = 'plan' | 'interrupted' | 'decided' | 'unreachable';

export interface RunResult {
  readonly startedAtMs: number;
  readonly endedBy: RunEnd;
  /** From the first due time to the end of sending. */
  readonly sentMs: number;
  /** To the last answer. */
  readonly elapsedMs: number;
  readonly records: readonly RequestRecord[];
  /** Gaps between frames of counted requests. */
  readonly itl: Histogram;
  readonly inFlightPeak: number;
}

/** Failures to connect in a row, without any answer between, that end a run. */
const UNREACHABLE_AFTER = 20;

/** One load test under way. Live figures may be read at any time. */
export class LoadRun {
  readonly limits: RunLimits;
  readonly records: RequestRecord[] = [];
  sent = 0;
  inFlight = 0;
  #inFlightPeak = 0;
  #unreachable = 0;
  #endedBy: RunEnd = 'plan';
  readonly #itl = new Histogram();
  readonly #target: Target;
  readonly #onEnd: OnEnd;
  readonly #pool: Pool;
  readonly #stopSending = new AbortController();
  readonly #cancel = new AbortController();
  readonly #zeroMs = performance.now();
  readonly #startedAtMs = Date.now();

  constructor(target: Target, limits: RunLimits, onEnd: OnEnd = () => undefined) {
    this.#target = target;
    this.#onEnd = onEnd;
    this.limits = limits;
    this.#pool = new Pool(httpTransport(target.url, null).origin, { connections: limits.inFlightMax });
    setMaxListeners(0, this.#cancel.signal, this.#stopSending.signal);
  }

  nowMs(): number {
    return performance.now() - this.#zeroMs;
  }

  /** Fires when nothing more is to be sent. */
  get stopping(): AbortSignal {
    return this.#stopSending.signal;
  }

  /** Sends nothing more and cancels what is under way; the run ends at once, with what it has. */
  stop(by: 'interrupted' | 'decided'): void {
    this.#end(by);
    this.#cancel.abort();
  }

  /** Sends the plan. Resolves when every request has ended; never rejects for what a server does. */
  async run(plan: Plan): Promise<RunResult> {
    const spanTimer = setTimeout(() => this.#stopSending.abort(), this.limits.spanMs);
    let sentMs = 0;
    let drainTimer: NodeJS.Timeout | undefined;
    try {
      await drive(this, plan, () => {
        sentMs = Math.min(this.nowMs(), this.limits.spanMs);
        drainTimer = setTimeout(() => this.#cancel.abort(), this.limits.drainMs);
      });
    } finally {
      clearTimeout(spanTimer);
      clearTimeout(drainTimer);
      await this.#pool.destroy().catch(() => undefined);
    }
    return {
      startedAtMs: this.#startedAtMs,
      endedBy: this.#endedBy,
      sentMs,
      elapsedMs: this.nowMs(),
      records: this.records,
      itl: this.#itl,
      inFlightPeak: this.#inFlightPeak,
    };
  }

  /** Sends one request that was due at `dueAtMs` and records how it ended; the answer's text where it is kept. */
  async send(
    shot: { prompt: ChatCall['prompt']; promptTokens: number; outputTokens: number },
    dueAtMs: number,
    keepText = false,
  ): Promise<{ record: RequestRecord; text: string }> {
    const due: Due = {
      index: this.sent,
      dueAtMs,
      sentAtMs: this.nowMs(),
      warmUp: dueAtMs < this.limits.warmUpMs,
      promptTokens: shot.promptTokens,
      outputTokens: shot.outputTokens,
    };
    this.sent += 1;
    if (this.sent >= this.limits.requestsMax) this.#stopSending.abort();
    if (this.inFlight >= this.limits.inFlightMax)
      return this.#record(failedRecord(due, 'in_flight_limit', due.sentAtMs));
    this.inFlight += 1;
    this.#inFlightPeak = Math.max(this.#inFlightPeak, this.inFlight);
    try {
      const reply = await timedChat({
        ...this.#target,
        prompt: shot.prompt,
        outputTokensMax: shot.outputTokens,
        dispatcher: this.#pool,
        signal: this.#cancel.signal,
        silenceMsMax: this.limits.silenceMsMax,
        keepText,
      });
      this.#unreachable = 0;
      if (!due.warmUp) for (const gapMs of reply.itlMs) this.#itl.add(gapMs);
      return this.#record(recordOf(due, reply), reply);
    } catch (error) {
      return this.#record(failedRecord(due, this.#failure(error), this.nowMs()));
    } finally {
      this.inFlight -= 1;
    }
  }

  #record(record: RequestRecord, reply: TimedReply | null = null): { record: RequestRecord; text: string } {
    this.records.push(record);
    this.#onEnd(record, reply);
    return { record, text: reply?.text ?? '' };
  }

  #failure(error: unknown): string {
    if (this.#cancel.signal.aborted) return this.#endedBy === 'plan' ? 'unfinished' : 'cancelled';
    this.#unreachable += 1;
    if (this.#unreachable >= UNREACHABLE_AFTER) this.#end('unreachable');
    const code = (error as NodeJS.ErrnoException).code ?? (error as Error).name;
    return code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT' ? 'silent' : code.toLowerCase();
  }

  #end(by: RunEnd): void {
    this.#endedBy = by;
    this.#stopSending.abort();
  }
}

/** One request ahead of a run: what is wrong with the URL, key or model shows here. Throws a CubitError that says it. */
export async function probe(target: Target): Promise<void> {
  const reply = await timedChat({ ...target, prompt: 'Say hello.', outputTokensMax: 4, silenceMsMax: 300_000 }).catch(
    (error: unknown) => {
      throw new CubitError('engine_unavailable', `No server answers at ${target.url} (${(error as Error).message}).`);
    },
  );
  if (reply.status === 200 || reply.status === 429 || reply.status >= 500) return;
  const message = `${target.url} refused a test request to model ${target.model} with ${reply.status} ${reply.error}.`;
  throw new CubitError('invalid_request', message, { details: { status: reply.status, error: reply.error } });
}
