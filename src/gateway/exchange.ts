import type { IncomingMessage, ServerResponse } from 'node:http';
import type { CubitError } from '../core/errors.ts';
import type { Reservation } from '../core/serving/admission.ts';
import type { Outcome } from '../core/serving/outcome.ts';
import { NO_WORK, type TokenCounts, type Work } from '../core/serving/work.ts';
import type { InferenceKind } from '../engine/port.ts';
import type { Estimated } from './estimate.ts';
import type { EventStream } from './event-stream.ts';
import type { OverflowPolicy } from './overflow-snapshot.ts';
import type { RateHold } from './rate-limit.ts';
import type { ServedModel } from './served.ts';
import type { AdapterSnapshot, EndpointSnapshot, KeySnapshot } from './snapshot.ts';
import type { Spill } from './spill-budget.ts';

/** One request on its way through the pipeline: each step reads what the steps before it wrote. */
export class Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly kind: InferenceKind;
  readonly requestId: string;
  /** Epoch ms. */
  readonly receivedAtMs: number;

  // parse: held until the end
  bodyBytes = 0;
  // authenticate, resolve
  key: KeySnapshot | null = null;
  endpoint: EndpointSnapshot | null = null;
  served: ServedModel | null = null;
  /** The LoRA adapter that answers. */
  adapter: AdapterSnapshot | null = null;
  // estimate, admit: held until settle
  estimate: Estimated | null = null;
  reservation: Reservation | null = null;
  waitMs = 0;
  /** Its places in the limits of its key, and of its tenant on a shared pool. */
  readonly rates: RateHold[] = [];
  // overflow
  policy: OverflowPolicy | null = null;
  spill: Spill | null = null;
  /** Counted for scaling where it was refused. */
  signalled = false;
  // route, stream
  replicaId: string | null = null;
  /** Monotonic ms; the first one is the start of TTFT. */
  sentMs: number | null = null;
  firstTokenMs: number | null = null;
  lastTokenMs: number | null = null;
  /** Prompt tokens that the prefill machine of a pair found in its cache; null = one machine does both. */
  prefillCachedTokens: number | null = null;
  tokens: TokenCounts = { promptTokens: 0, cachedTokens: 0, outputTokens: 0 };
  /** The engine itself stated `tokens`; otherwise they are the estimate and what was counted. */
  tokensStated = false;
  actual: Work = NO_WORK;
  /** Output tokens that a stream has brought so far; `tokens` follows at its end. */
  streamedTokens = 0;
  /** Once its head is written: with its first token, or before with a heartbeat. */
  stream: EventStream | null = null;
  /** A stream of heartbeats only so far: nothing of an answer has reached the client. */
  unanswered = false;
  // how it ended
  outcome: Outcome = 'failed';
  cause = 'internal';
  expired = false;

  /** Told once the first token has come. */
  onFirstToken: (() => void) | null = null;

  #cut: CubitError | null = null;
  #onCut: ((error: CubitError) => void) | null = null;

  constructor(req: IncomingMessage, res: ServerResponse, kind: InferenceKind, requestId: string, receivedAtMs: number) {
    this.req = req;
    this.res = res;
    this.kind = kind;
    this.requestId = requestId;
    this.receivedAtMs = receivedAtMs;
  }

  sawFirstToken(atMs: number): void {
    this.firstTokenMs = atMs;
    this.onFirstToken?.();
  }

  /** Ends it from outside: the client has left, or a drain's time is over. Whatever step it is in stops with the error. */
  cut(error: CubitError): void {
    if (this.#cut !== null) return;
    this.#cut = error;
    this.#onCut?.(error);
  }

  /** Sets what stops the present step; null when the step is over. Called at once when it is cut already. */
  onCut(listener: ((error: CubitError) => void) | null): void {
    this.#onCut = listener;
    if (listener !== null && this.#cut !== null) listener(this.#cut);
  }

  /** Something of an answer has reached the client: no other replica and no other endpoint can answer any more. */
  get answered(): boolean {
    return this.res.headersSent && !this.unanswered;
  }

  /** Another place is tried: what the steps from the estimate on wrote is void. How long it waited counts. */
  forgetPlace(): void {
    this.served = null;
    this.estimate = null;
    this.reservation = null;
    this.rates.length = 0;
    this.replicaId = null;
    this.sentMs = null;
    this.prefillCachedTokens = null;
    this.expired = false;
    this.spill = null;
  }

  get ttftMs(): number | null {
    return this.sentMs === null || this.firstTokenMs === null ? null : this.firstTokenMs - this.sentMs;
  }

  /** (last − first token) ÷ (tokens − 1). */
  get tpotMs(): number | null {
    const { outputTokens } = this.tokens;
    if (this.firstTokenMs === null || this.lastTokenMs === null || outputTokens < 2) return null;
    return (this.lastTokenMs - this.firstTokenMs) / (outputTokens - 1);
  }
}
