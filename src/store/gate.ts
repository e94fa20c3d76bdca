import { CubitError } from '../core/errors.ts';

/**
 * Lets one in at a time, first come, first served. Waiting is bounded in number and time, so that a transaction which
 * (wrongly) waits for the connection that it holds itself ends in an error, not in silence.
 */
export class Gate {
  readonly #queueMax: number;
  readonly #waitMsMax: number;
  readonly #waiting = new Set<() => void>();
  #taken = false;

  constructor(limits: { queueMax: number; waitMsMax: number }) {
    this.#queueMax = limits.queueMax;
    this.#waitMsMax = limits.waitMsMax;
  }

  /** Throws `internal` when the queue is full or the wait too long. Every `enter` that returns needs one `leave`. */
  async enter(): Promise<void> {
    if (!this.#taken) {
      this.#taken = true;
      return;
    }
    if (this.#waiting.size >= this.#queueMax) throw busy(`${this.#queueMax} statements are waiting for the database`);
    await new Promise<void>((resolve, reject) => {
      const admit = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(admit);
        reject(busy(`the database was held by another transaction for ${this.#waitMsMax} ms`));
      }, this.#waitMsMax);
      this.#waiting.add(admit);
    });
  }

  leave(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken = false;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

function busy(reason: string): CubitError {
  return new CubitError('internal', 'The database is too busy. Try again in a moment.', { cause: new Error(reason) });
}
