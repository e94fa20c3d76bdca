import type { Dispatcher } from 'undici';
import type { AnswerControl, AnswerHandler } from '../http1/wire.ts';
import type { CancelSignal } from '../port.ts';

/** Read ahead of whoever reads the answer, at most; beyond it the server has to wait (TCP's own back-pressure). */
const AHEAD_BYTES_MAX = 256 * 1024;
const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/**
 * One request to a server and its answer, on the raw interface of our own connections and of undici's: no stream objects, which cost
 * more than all the rest. Sent → head (`head` resolves) → body (read as an iterator) → over. `mapError` turns what goes wrong into what
 * callers know; aborting the signal ends the call at once, wherever it is, and frees the server's slot.
 */
export class Call implements AnswerHandler, Dispatcher.DispatchHandler, AsyncIterableIterator<Uint8Array> {
  status = 0;
  contentType = '';
  /** Resolves when the head of the answer is in. */
  readonly head: Promise<this>;
  readonly #mapError: (error: unknown) => unknown;
  readonly #onOver: () => void;
  readonly #signal: CancelSignal;
  #onHead: Waiting<this> | null = null;
  #onPart: Waiting<IteratorResult<Uint8Array, undefined>> | null = null;
  #controller: AnswerControl | null = null;
  #parts: Buffer[] = [];
  #bytes = 0;
  #over = false;
  #error: unknown = null;

  constructor(signal: CancelSignal, mapError: (error: unknown) => unknown, onOver: () => void) {
    this.#signal = signal;
    this.#mapError = mapError;
    this.#onOver = onOver;
    this.head = new Promise<this>((resolve, reject) => {
      this.#onHead = { resolve, reject };
    });
    signal.addEventListener('abort', this.#abort);
    if (signal.aborted) this.#abort();
  }

  get isOver(): boolean {
    return this.#over;
  }

  onRequestStart(controller: AnswerControl): void {
    this.#controller = controller;
    if (this.#over) controller.abort(new Error('it ended before it was sent'));
  }

  onHead(status: number, contentType: string): void {
    this.status = status;
    this.contentType = contentType;
    this.#onHead?.resolve(this);
    this.#onHead = null;
  }

  onBody(part: Buffer): void {
    if (this.#onPart !== null) {
      const waiting = this.#onPart;
      this.#onPart = null;
      waiting.resolve({ done: false, value: part });
      return;
    }
    this.#parts.push(part);
    this.#bytes += part.length;
    if (this.#bytes > AHEAD_BYTES_MAX) this.#controller?.pause();
  }

  onEnd(): void {
    this.#end();
    this.#onPart?.resolve(DONE);
  }

  onResponseStart(_controller: AnswerControl, status: number, headers: Record<string, unknown>): void {
    if (status >= 200) this.onHead(status, String(headers['content-type'] ?? ''));
  }

  onResponseData(_controller: AnswerControl, part: Buffer): void {
    this.onBody(part);
  }

  onResponseEnd(): void {
    this.onEnd();
  }

  onResponseError(_controller: AnswerControl, error: Error): void {
    this.fail(error);
  }

  /** It could not be sent, or its connection broke. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#error = this.#mapError(error);
    this.#end();
    this.#onHead?.reject(this.#error);
    this.#onPart?.reject(this.#error);
  }

  /** What has come in meanwhile, as one piece. */
  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    const parts = this.#parts;
    if (parts.length > 0) {
      const value = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
      const wasPaused = this.#bytes > AHEAD_BYTES_MAX;
      this.#parts = [];
      this.#bytes = 0;
      if (wasPaused) this.#controller?.resume();
      return Promise.resolve({ done: false, value });
    }
    if (this.#error !== null) return Promise.reject(this.#error);
    if (this.#over) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => {
      this.#onPart = { resolve, reject };
    });
  }

  /** Nobody reads on: an answer that is not over is broken off. */
  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (!this.#over) this.#end()?.abort(new Error('nobody reads the answer'));
    this.#parts = [];
    return DONE;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  readonly #abort = (): void => {
    if (this.#over) return;
    const controller = this.#controller;
    this.fail(this.#signal.reason);
    this.#parts = [];
    controller?.abort(new Error('the call was aborted'));
  };

  /** Lets go of the connection, which may carry another call from now on; returns it. */
  #end(): AnswerControl | null {
    const controller = this.#controller;
    this.#controller = null;
    if (this.#over) return controller;
    this.#over = true;
    this.#signal.removeEventListener('abort', this.#abort);
    this.#onOver();
    return controller;
  }
}

/** The body's text, cut at a limit. */
export async function textOf(bytes: AsyncIterable<Uint8Array>, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= bytesMax) break; // leaving the loop breaks the answer off
  }
  return Buffer.concat(chunks).toString('utf8');
}
