import { CubitError } from '../core/errors.ts';
import type { CancelSignal } from '../engine/port.ts';

/**
 * Ends an attempt: when what it waits for does not come in time (one timer, set again at every event), or when something
 * else aborts it. It is its own signal: an AbortController costs more than all the rest of an attempt.
 */
export class Watchdog implements CancelSignal {
  aborted = false;
  reason: unknown = undefined;
  #listeners: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #error: (() => CubitError) | null = null;

  /** Again: nothing more. */
  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  /** What is added after the abort is never called. */
  addEventListener(_type: 'abort', listener: () => void): void {
    this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }

  /** Waits for an engine. */
  arm(ms: number, message: string): void {
    this.#set(ms, () => new CubitError('engine_timeout', message));
  }

  /** Waits for a client that does not read. */
  armForClient(ms: number): void {
    this.#set(ms, () => new CubitError('client_closed', `The client did not read for ${ms} ms.`));
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#ms = 0;
  }

  #set(ms: number, error: () => CubitError): void {
    this.#error = error;
    if (this.#timer !== undefined && this.#ms === ms) {
      this.#timer.refresh();
      return;
    }
    clearTimeout(this.#timer);
    this.#ms = ms;
    this.#timer = setTimeout(() => this.abort(this.#error?.()), ms);
  }
}
