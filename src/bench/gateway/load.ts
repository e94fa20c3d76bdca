import { connect } from 'node:net';
import { percentilesOf } from '../statistics.ts';

/**
 * The load generator of `npm run bench:gateway`, in a process of its own on the mock's core: closed loop, one request at
 * a time per connection, on plain sockets with a request that is written as it is, so that it costs little.
 */
export interface Job {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  /** Ends at the first of both; what is under way then is finished. */
  readonly seconds: number;
  readonly requestsMax: number;
  /** Tokens that every stream has to bring; 0 = not a stream. */
  readonly tokens: number;
}

export interface Load {
  readonly requests: number;
  /** Not 200, or cut. */
  readonly failed: number;
  readonly elapsedMs: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Of streams: request to first token, and between two reads that bring tokens. */
  readonly ttftMs: { readonly p50: number; readonly p99: number };
  readonly gapMs: { readonly p50: number; readonly p99: number };
  readonly events: number;
  readonly lostFrames: number;
  /** A line that says what went wrong first. */
  readonly fault: string | null;
}

const EMPTY: Buffer = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');
const TOKEN = Buffer.from('" tok');
const DONE = Buffer.from('[DONE]');
const CHUNKED_END = Buffer.from('0\r\n\r\n');
const SAMPLES_MAX = 400_000;
const SILENCE_MS = 60_000;

export async function runLoad(job: Job): Promise<Load> {
  const run = new Run(job);
  await Promise.all(Array.from({ length: job.connections }, (_, index) => run.connection(index)));
  return run.result();
}

class Run {
  readonly #job: Job;
  readonly #request: Buffer;
  readonly #startMs = performance.now();
  readonly #latency: number[] = [];
  readonly #ttft: number[] = [];
  readonly #gaps: number[] = [];
  #sent = 0;
  #requests = 0;
  #failed = 0;
  #events = 0;
  #lost = 0;
  #fault: string | null = null;

  constructor(job: Job) {
    this.#job = job;
    const { host, pathname } = new URL(job.url);
    const headers = { host, 'content-type': 'application/json', ...job.headers };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const head = `POST ${pathname} HTTP/1.1\r\n${lines.join('')}content-length: ${Buffer.byteLength(job.body)}\r\n\r\n`;
    this.#request = Buffer.from(head + job.body);
  }

  /** Streams open spread over a gap of the mock, as independent clients would. */
  async connection(index: number): Promise<void> {
    if (this.#job.tokens > 0) await new Promise((resolve) => setTimeout(resolve, (index % 20) + index / 10));
    const { hostname, port } = new URL(this.#job.url);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    return new Promise((resolve) => {
      const exchange = new Exchange();
      const next = () => {
        if (this.#isOver()) {
          socket.end();
          return;
        }
        this.#sent += 1;
        exchange.begin();
        socket.write(this.#request);
      };
      socket.setTimeout(SILENCE_MS, () => socket.destroy(new Error('silent for a minute')));
      socket.on('connect', next);
      socket.on('data', (data: Buffer) => {
        if (!exchange.take(data, this.#job.tokens > 0 ? this.#gaps : null)) return;
        this.#ended(exchange);
        next();
      });
      socket.on('error', (error) => this.#fail(error.message));
      socket.on('close', () => {
        if (exchange.open) {
          this.#fail('the connection was closed in the middle of an answer');
          this.#lost += Math.max(0, this.#job.tokens - exchange.tokens);
        }
        resolve();
      });
    });
  }

  #isOver(): boolean {
    return this.#sent >= this.#job.requestsMax || performance.now() - this.#startMs > this.#job.seconds * 1_000;
  }

  #ended(exchange: Exchange): void {
    this.#requests += 1;
    this.#events += exchange.tokens;
    if (exchange.status !== 200) this.#fail(exchange.text.slice(0, 300));
    if (this.#job.tokens > 0) {
      this.#lost += Math.max(0, this.#job.tokens - exchange.tokens) + (exchange.done ? 0 : 1);
      if (exchange.ttftMs !== null) this.#ttft.push(exchange.ttftMs);
    }
    if (this.#latency.length < SAMPLES_MAX) this.#latency.push(performance.now() - exchange.sentMs);
  }

  #fail(fault: string): void {
    this.#failed += 1;
    this.#fault ??= fault;
  }

  result(): Load {
    const of = (samples: number[]) => {
      const found = percentilesOf(samples);
      return { p50: found?.p50 ?? 0, p99: found?.p99 ?? 0 };
    };
    return {
      requests: this.#requests,
      failed: this.#failed,
      elapsedMs: performance.now() - this.#startMs,
      latencyMs: of(this.#latency),
      ttftMs: of(this.#ttft),
      gapMs: of(this.#gaps),
      events: this.#events,
      lostFrames: this.#lost,
      fault: this.#fault,
    };
  }
}

/** One answer being read. */
class Exchange {
  open = false;
  sentMs = 0;
  status = 0;
  tokens = 0;
  done = false;
  ttftMs: number | null = null;
  /** The beginning of an answer that is not 200. */
  text = '';
  #lastMs = 0;
  #head = EMPTY;
  #inBody = false;
  /** Bytes of the body still to come; null = chunked. */
  #left: number | null = null;
  #last = EMPTY;

  begin(): void {
    this.open = true;
    this.sentMs = performance.now();
    this.tokens = 0;
    this.done = false;
    this.ttftMs = null;
    this.#inBody = false;
    this.#head = EMPTY;
    this.#last = EMPTY;
  }

  /** True when the answer is whole. `gaps` of streams are added where they are given. */
  take(data: Buffer, gaps: number[] | null): boolean {
    const body = this.#inBody ? data : this.#afterHead(data);
    if (body === null) return false;
    if (gaps !== null) this.#countTokens(body, gaps);
    if (this.#left !== null) {
      this.#left -= body.length;
      this.open = this.#left > 0;
    } else {
      const end = body.length < CHUNKED_END.length ? Buffer.concat([this.#last, body]) : body;
      this.open = !end.subarray(-CHUNKED_END.length).equals(CHUNKED_END);
    }
    // A mark may be cut in two by a read.
    const joined = body.length < DONE.length ? Buffer.concat([this.#last, body]) : body;
    this.#last = Buffer.from(joined.subarray(-(DONE.length - 1)));
    return !this.open;
  }

  #afterHead(data: Buffer): Buffer | null {
    const bytes = this.#head.length === 0 ? data : Buffer.concat([this.#head, data]);
    const end = bytes.indexOf(HEAD_END);
    if (end === -1) {
      this.#head = bytes;
      return null;
    }
    const head = bytes.toString('latin1', 0, end);
    this.status = Number(head.slice(9, 12));
    const length = /content-length: *(\d+)/i.exec(head)?.[1];
    this.#left = length === undefined ? null : Number(length);
    if (this.status !== 200) this.text = bytes.toString('latin1', 0, 400);
    this.#inBody = true;
    return bytes.subarray(end + 4);
  }

  #countTokens(body: Buffer, gaps: number[]): void {
    const before = countOf(this.#last, TOKEN);
    const bytes = this.#last.length === 0 ? body : Buffer.concat([this.#last, body]);
    const count = countOf(bytes, TOKEN) - before;
    if (bytes.includes(DONE)) this.done = true;
    if (count === 0) return;
    const nowMs = performance.now();
    if (this.tokens === 0) this.ttftMs = nowMs - this.sentMs;
    else if (gaps.length < SAMPLES_MAX) gaps.push(nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    this.tokens += count;
  }
}

function countOf(bytes: Buffer, mark: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(mark); at !== -1; at = bytes.indexOf(mark, at + mark.length)) count += 1;
  return count;
}

if (process.send !== undefined) {
  process.on('message', (job: Job) => void runLoad(job).then((load) => process.send?.(load)));
  process.on('disconnect', () => process.exit(0));
}
