import { type Dispatcher, getGlobalDispatcher } from 'undici';
import { httpTransport, type Transport } from '../engine/openai-http/client.ts';
import { AnswerScanner, errorCode, type Usage, wholeAnswer } from './answer.ts';

/** One timed streaming chat request against any OpenAI-compatible URL. Times are from the send. */
export interface TimedReply {
  readonly status: number;
  /** OpenAI's error code, when it failed; `stream_error` for an error event, `connection_lost`, `frame_too_large` after the first byte. */
  readonly error: string | null;
  readonly ttftMs: number | null;
  readonly tpotMs: number | null;
  readonly e2eMs: number;
  /** Between consecutive frames that carry text; frames that arrive in one piece are 0 apart. */
  readonly itlMs: readonly number[];
  readonly promptTokens: number;
  readonly cachedTokens: number;
  /** As the server's usage states it; where `usage` is not `stated`, the frames that carried text. */
  readonly outputTokens: number;
  /** `missing`: none was sent. `wrong`: fewer tokens than frames, or more than were allowed. */
  readonly usage: 'stated' | 'missing' | 'wrong';
  /** Frames that carried text. */
  readonly frames: number;
  /** The stream ended with `[DONE]`, and a choice had a finish reason. False of a whole answer. */
  readonly done: boolean;
  readonly finished: boolean;
  /** False where the server sent a whole answer though a stream was asked for: then TTFT = E2E. */
  readonly streamed: boolean;
  /** What a refusal asks for. */
  readonly retryAfterMs: number | null;
  /** The answer, where the call asked to keep it. */
  readonly text: string;
  /** `usage.cubit` when the server is a Cubit. */
  readonly receipt: Readonly<Record<string, unknown>> | null;
}

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface ChatCall {
  /** With or without the API's path: `http://host:8000`, `http://host:8000/v1`. */
  readonly url: string;
  /** Empty: no authorization header. */
  readonly apiKey: string;
  readonly model: string;
  /** A user's message, or a whole conversation. */
  readonly prompt: string | readonly ChatMessage[];
  readonly outputTokensMax: number;
  readonly signal?: AbortSignal;
  readonly dispatcher?: Dispatcher;
  readonly headers?: Readonly<Record<string, string>>;
  /** More fields of the body, such as `ignore_eos`. */
  readonly extraBody?: Readonly<Record<string, unknown>>;
  readonly keepText?: boolean;
  /** Called at every frame that carries text, with its number. */
  readonly onText?: (frames: number) => void;
  /** Silence that ends the request; none by default. */
  readonly silenceMsMax?: number;
}

const ERROR_BYTES_MAX = 64 * 1024;
const WHOLE_BYTES_MAX = 64 * 1024 * 1024;

/** Sends one request and reads it to the end. Throws only when no answer begins or the signal fires. */
export function timedChat(call: ChatCall): Promise<TimedReply> {
  const sentAtMs = performance.now();
  const { origin, apiPath } = transportOf(call.url);
  const silence = call.silenceMsMax ?? 0;
  const options: Dispatcher.DispatchOptions = {
    origin,
    path: `${apiPath}/chat/completions`,
    method: 'POST',
    headers: {
      ...(call.apiKey === '' ? {} : { authorization: `Bearer ${call.apiKey}` }),
      'content-type': 'application/json',
      ...call.headers,
    },
    body: JSON.stringify({
      model: call.model,
      messages: typeof call.prompt === 'string' ? [{ role: 'user', content: call.prompt }] : call.prompt,
      max_tokens: call.outputTokensMax,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
      ...call.extraBody,
    }),
    headersTimeout: silence,
    bodyTimeout: silence,
  };
  return new Promise((resolve, reject) => {
    const exchange = new Exchange(sentAtMs, call, resolve, reject);
    (call.dispatcher ?? getGlobalDispatcher()).dispatch(options, exchange);
  });
}

let lastTransport: { readonly url: string; readonly transport: Transport } | null = null;

/** The parsed URL; the last one is kept, since a load test sends all its requests to one. */
function transportOf(url: string): Transport {
  if (lastTransport?.url !== url) lastTransport = { url, transport: httpTransport(url, null) };
  return lastTransport.transport;
}

/** undici's own callbacks, without a stream object for every request: the client has to hold thousands. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #sentAtMs: number;
  readonly #outputTokensMax: number;
  readonly #scanner: AnswerScanner;
  readonly #signal: AbortSignal | undefined;
  readonly #onText: ((frames: number) => void) | undefined;
  readonly #resolve: (reply: TimedReply) => void;
  readonly #reject: (error: Error) => void;
  readonly #pieces: Buffer[] = [];
  #abort: (() => void) | null = null;
  #bytes = 0;
  #status = 0;
  #streamed = false;
  #retryAfterMs: number | null = null;

  constructor(sentAtMs: number, call: ChatCall, resolve: (reply: TimedReply) => void, reject: (error: Error) => void) {
    this.#sentAtMs = sentAtMs;
    this.#outputTokensMax = call.outputTokensMax;
    this.#scanner = new AnswerScanner(call.keepText ?? false);
    this.#signal = call.signal;
    this.#onText = call.onText;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const signal = this.#signal;
    if (signal === undefined) return;
    this.#abort = () => controller.abort(new DOMException('The request was cancelled.', 'AbortError'));
    if (signal.aborted) this.#abort();
    else signal.addEventListener('abort', this.#abort, { once: true });
  }

  onResponseStart(
    _: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    if (status < 200) return;
    this.#status = status;
    this.#streamed = status === 200 && !String(headers['content-type'] ?? '').includes('application/json');
    if (status !== 200) this.#retryAfterMs = retryAfterMs(headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#streamed) {
      const before = this.#scanner.frames;
      this.#scanner.push(chunk, performance.now());
      for (let frame = before + 1; frame <= this.#scanner.frames; frame += 1) this.#onText?.(frame);
      return;
    }
    this.#bytes += chunk.length;
    if (this.#status !== 200 && this.#bytes > ERROR_BYTES_MAX) return;
    if (this.#bytes > WHOLE_BYTES_MAX) controller.abort(new Error('The answer is too large.'));
    else this.#pieces.push(chunk);
  }

  onResponseEnd(): void {
    const endMs = performance.now();
    this.#release();
    this.#resolve(this.#streamed ? this.#streamReply(endMs, null) : this.#wholeReply(endMs));
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#release();
    const began = this.#status !== 0;
    if (began && !this.#signal?.aborted) this.#resolve(this.#streamReply(performance.now(), 'connection_lost'));
    else this.#reject(error);
  }

  #release(): void {
    if (this.#abort !== null) this.#signal?.removeEventListener('abort', this.#abort);
  }

  #streamReply(endMs: number, error: string | null): TimedReply {
    const scanner = this.#scanner;
    scanner.end(endMs);
    const { firstAtMs, frames, itlMs, done, finished } = scanner;
    return this.#reply({
      endMs,
      error: scanner.error ?? error,
      usage: scanner.usage(),
      firstAtMs,
      frames,
      itlMs,
      done,
      finished,
      text: scanner.text(),
    });
  }

  #wholeReply(endMs: number): TimedReply {
    const body = Buffer.concat(this.#pieces).toString('utf8');
    const nothing = { endMs, itlMs: [], done: false, finished: false };
    if (this.#status !== 200) {
      const error = errorCode(body) ?? `http_${this.#status}`;
      return this.#reply({ ...nothing, error, usage: null, firstAtMs: null, frames: 0, text: '' });
    }
    const whole = wholeAnswer(body);
    const said = whole !== null && whole.text !== '';
    return this.#reply({
      ...nothing,
      error: whole === null ? 'not_json' : null,
      usage: whole?.usage ?? null,
      firstAtMs: said ? endMs : null,
      frames: said ? 1 : 0,
      text: whole?.text ?? '',
    });
  }

  #reply(seen: Seen): TimedReply {
    const { usage, firstAtMs, endMs } = seen;
    const trust = trustOf(usage?.completion_tokens, seen.frames, this.#outputTokensMax);
    const outputTokens = trust === 'stated' ? (usage?.completion_tokens as number) : seen.frames;
    const severalTokens = firstAtMs !== null && outputTokens >= 2 && this.#streamed;
    return {
      status: this.#status,
      error: seen.error,
      ttftMs: firstAtMs === null ? null : firstAtMs - this.#sentAtMs,
      tpotMs: severalTokens ? (endMs - firstAtMs) / (outputTokens - 1) : null,
      e2eMs: endMs - this.#sentAtMs,
      itlMs: seen.itlMs,
      promptTokens: usage?.prompt_tokens ?? 0,
      cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? 0,
      outputTokens,
      frames: seen.frames,
      usage: trust,
      done: seen.done,
      finished: seen.finished,
      streamed: this.#streamed,
      retryAfterMs: this.#retryAfterMs,
      text: seen.text,
      receipt: usage?.cubit ?? null,
    };
  }
}

interface Seen {
  readonly endMs: number;
  readonly error: string | null;
  readonly usage: Usage | null;
  readonly firstAtMs: number | null;
  readonly frames: number;
  readonly itlMs: readonly number[];
  readonly done: boolean;
  readonly finished: boolean;
  readonly text: string;
}

/** One frame more than tokens is allowed: some engines flush what they held back at the end. */
function trustOf(tokens: number | undefined, frames: number, tokensMax: number): TimedReply['usage'] {
  if (tokens === undefined) return 'missing';
  const tooFew = tokens + 1 < frames || (tokens === 0 && frames > 0);
  return tooFew || tokens > tokensMax || !Number.isSafeInteger(tokens) ? 'wrong' : 'stated';
}

/** `retry-after-ms`, else `retry-after` in seconds (a date is not read). */
function retryAfterMs(headers: Readonly<Record<string, string | string[] | undefined>>): number | null {
  const number = (name: string) => (headers[name] === undefined ? Number.NaN : Number(headers[name]));
  const ms = number('retry-after-ms');
  const seconds = number('retry-after');
  if (ms >= 0) return ms;
  return seconds >= 0 ? seconds * 1000 : null;
}
