import { CubitError } from '../core/errors.ts';

/** Aborts an attempt when what it waits for does not come in time. One timer, set again at every event. */
export class Watchdog {
  readonly #controller: AbortController;
  #timer: NodeJS.Timeout | undefined;
  #ms = 0;
  #error: (() => CubitError) | null = null;

  constructor(controller: AbortController) {
    this.#controller = controller;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
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
    this.#timer = setTimeout(() => this.#controller.abort(this.#error?.()), ms);
  }
}
