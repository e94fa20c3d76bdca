import { CubitError } from '../../core/errors.ts';
import { Connection } from './connection.ts';
import type { AnswerHandler, ConnectionOwner, PoolOptions, WireRequest } from './wire.ts';

const TICK_MS_MIN = 5;
const TICK_MS_MAX = 500;

/**
 * Connections to one server without TLS, kept for the next request. Times are counted in ticks of one timer for all: to
 * arm a timer, or read a clock, for every request and every piece of a stream costs more than the rest of what is done
 * for it. A request is never sent twice: whether the server has begun on it nobody knows, and the gateway asks another.
 */
export class PlainPool implements ConnectionOwner<Connection> {
  readonly options: PoolOptions;
  readonly tickMs: number;
  /** Ticks since the first connection. */
  tick = 0;
  readonly #open = new Set<Connection>();
  /** The one used last is used next, so that those that are too many get old. */
  readonly #idle: Connection[] = [];
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: PoolOptions) {
    this.options = options;
    const shortestMs = Math.min(options.connectMs, options.headersMs, options.chunkMs);
    this.tickMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS_MIN, shortestMs / 4));
  }

  /** Sends a request; the handler hears all the rest. */
  dispatch(request: WireRequest, handler: AnswerHandler): void {
    if (this.#closed) {
      handler.fail(new CubitError('engine_unavailable', 'The connections to the engine are closed.'));
      return;
    }
    const idle = this.#idle.pop();
    if (idle !== undefined) idle.send(request, handler);
    else if (this.#open.size < this.options.connectionsMax) this.#connect().send(request, handler);
    else if (this.#waiting.length < this.options.waitingMax) this.#waiting.push({ request, handler });
    else handler.fail(new CubitError('engine_unavailable', 'Too many requests wait for a connection to the engine.'));
  }

  release(connection: Connection): void {
    const next = this.#nextWaiting();
    if (next === undefined) this.#idle.push(connection);
    else connection.send(next.request, next.handler);
  }

  remove(connection: Connection): void {
    if (!this.#open.delete(connection)) return;
    const at = this.#idle.indexOf(connection);
    if (at !== -1) this.#idle.splice(at, 1);
    const next = this.#closed ? undefined : this.#nextWaiting();
    if (next !== undefined) this.#connect().send(next.request, next.handler);
    if (this.#open.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Ends every connection, whatever runs on it. */
  close(): void {
    this.#closed = true;
    const error = new CubitError('engine_unavailable', 'The connections to the engine are closed.');
    for (const { handler } of this.#waiting.splice(0)) handler.fail(error);
    for (const connection of [...this.#open]) connection.fail(error);
  }

  #connect(): Connection {
    const connection = new Connection(this);
    this.#open.add(connection);
    this.#timer ??= setInterval(this.#onTick, this.tickMs).unref();
    return connection;
  }

  #nextWaiting(): Waiting | undefined {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!next.handler.isOver) return next;
    }
    return undefined;
  }

  readonly #onTick = (): void => {
    this.tick += 1;
    for (const connection of [...this.#open]) connection.onTick(this.tick);
    this.#waiting = this.#waiting.filter(({ handler }) => !handler.isOver);
  };
}

interface Waiting {
  readonly request: WireRequest;
  readonly handler: AnswerHandler;
}
