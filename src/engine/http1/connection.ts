import { connect, type Socket } from 'node:net';
import { CubitError } from '../../core/errors.ts';
import { ProtocolError, type ResponseHead, ResponseParser, type ResponseSink } from './response-parser.ts';
import type { AnswerControl, AnswerHandler, ConnectionOwner, WireRequest } from './wire.ts';

/** Before the servers that engines use close an idle connection, which is after 5 s. */
const IDLE_MS = 4_000;
/** What every read goes into: it is parsed before the next one, and what is kept of it is copied. */
const SCRATCH = Buffer.allocUnsafeSlow(64 * 1024);
const MS_A_SECOND = 1_000;

/** One connection: connecting → busy with one request ⇄ idle → gone. */
export class Connection implements AnswerControl, ResponseSink {
  readonly #pool: ConnectionOwner<Connection>;
  readonly #socket: Socket;
  readonly #parser = new ResponseParser(this);
  #handler: AnswerHandler | null = null;
  #parts: Buffer[] = [];
  #hasHead = false;
  #isWhole = false;
  #paused = false;
  #gone = false;
  #error: Error | null = null;
  #idleMs = IDLE_MS;
  /** Of the last thing that happened. */
  #tick: number;

  constructor(pool: ConnectionOwner<Connection>) {
    this.#pool = pool;
    this.#tick = pool.tick;
    const onread = { buffer: SCRATCH, callback: (bytes: number) => this.#read(bytes) };
    this.#socket = connect({ ...pool.options.address, noDelay: true, onread })
      .on('connect', () => {
        this.#tick = this.#pool.tick;
      })
      .on('error', (error) => {
        this.#error = error;
      })
      .on('end', () => this.#ended())
      .on('close', () => this.fail(this.#error ?? new ProtocolError('the connection was closed')));
  }

  send(request: WireRequest, handler: AnswerHandler): void {
    this.#handler = handler;
    this.#hasHead = false;
    this.#isWhole = false;
    this.#tick = this.#pool.tick;
    this.#parser.expect();
    handler.onRequestStart(this);
    if (!this.#gone) this.#socket.write(request.text, request.encoding);
  }

  abort(): void {
    this.#handler = null;
    this.#destroy();
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#tick = this.#pool.tick;
    this.#socket.resume();
  }

  /** Ends it; whoever waits for its answer is told why. */
  fail(error: unknown): void {
    const handler = this.#handler;
    this.#handler = null;
    this.#destroy();
    handler?.fail(error);
  }

  onTick(tick: number): void {
    const waitedMs = (tick - this.#tick - 1) * this.#pool.tickMs;
    const { connectMs, headersMs, chunkMs } = this.#pool.options;
    if (this.#handler === null) {
      // A tick early rather than late: the server would close it in the middle of being used again.
      if (waitedMs + 2 * this.#pool.tickMs > this.#idleMs) this.#destroy();
    } else if (this.#socket.connecting) {
      if (waitedMs >= connectMs) this.fail(new CubitError('engine_unavailable', 'The engine cannot be reached.'));
    } else if (!this.#paused && waitedMs >= (this.#hasHead ? chunkMs : headersMs)) {
      this.fail(new CubitError('engine_timeout', 'The engine did not answer in time.'));
    }
  }

  onHead({ status, contentType, keepAliveS }: ResponseHead): void {
    this.#hasHead = true;
    if (keepAliveS !== null) this.#idleMs = Math.min(IDLE_MS, (keepAliveS - 1) * MS_A_SECOND);
    this.#handler?.onHead(status, contentType);
  }

  onBody(part: Buffer): void {
    this.#parts.push(part);
  }

  onEnd(): void {
    this.#isWhole = true;
  }

  #read(bytes: number): boolean {
    this.#tick = this.#pool.tick;
    try {
      if (this.#handler === null) throw new ProtocolError('the server sends what nobody asked for');
      this.#parser.take(SCRATCH.subarray(0, bytes));
    } catch (error) {
      // What came before it is delivered; the connection is not used again.
      this.#deliver(false);
      if (this.#isWhole) this.#destroy();
      else this.fail(error);
      return false;
    }
    this.#deliver(this.#parser.reusable && this.#socket.writableLength === 0);
    return !this.#paused;
  }

  /** Hands on what has been read, in one piece. */
  #deliver(isReusable: boolean): void {
    const handler = this.#handler;
    const parts = this.#parts;
    if (parts.length > 0) {
      this.#parts = [];
      // A copy in any case: the next read comes into the same memory.
      handler?.onBody(parts.length === 1 ? Buffer.from(parts[0] as Buffer) : Buffer.concat(parts));
    }
    if (!this.#isWhole || this.#handler === null) return;
    this.#handler = null;
    if (isReusable && this.#idleMs > 0) {
      if (this.#paused) this.resume();
      this.#pool.release(this);
    } else this.#destroy();
    handler?.onEnd();
  }

  /** The server sends nothing more. */
  #ended(): void {
    try {
      if (this.#handler !== null) this.#parser.close();
      this.#deliver(false);
      this.#destroy();
    } catch (error) {
      this.fail(error);
    }
  }

  #destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#pool.remove(this);
    this.#socket.destroy();
  }
}
