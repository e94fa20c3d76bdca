import { closeSync, openSync, readSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';
import { CubitError } from '../core/errors.ts';
import { seededRandom } from './random.ts';
import type { TraceRequest } from './trace.ts';

const CHUNK_BYTES = 1 << 20;
const GZIP = [0x1f, 0x8b];
const BYTE_ORDER_MARK = /^\ufeff/;

/**
 * Lines of a file one by one: memory does not grow with the file. Throws `invalid_request` on a compressed one, else what
 * `openSync` and `readSync` throw.
 */
export function* linesOf(path: string): Generator<string> {
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    let first = true;
    for (let bytes = readSync(file, chunk); bytes > 0; bytes = readSync(file, chunk)) {
      if (first && GZIP.every((byte, at) => chunk[at] === byte)) {
        throw new CubitError('invalid_request', 'it is compressed: unpack it first (gunzip).');
      }
      const text = decoder.write(chunk.subarray(0, bytes));
      const lines = (rest + (first ? text.replace(BYTE_ORDER_MARK, '') : text)).split('\n');
      first = false;
      rest = lines.pop() as string;
      for (const line of lines) yield line.endsWith('\r') ? line.slice(0, -1) : line;
    }
    if (rest !== '') yield rest;
  } finally {
    closeSync(file);
  }
}

/**
 * A trace of one request a line, from 0 on. A row that came before the one above it is taken at that one's time: a stream
 * cannot be sorted.
 */
export function* requestsOf(
  lines: Iterable<string>,
  parse: (line: string, index: number) => TraceRequest | null,
): Generator<TraceRequest> {
  let index = 0;
  let startMs: number | null = null;
  let lastMs = 0;
  for (const line of lines) {
    const row = parse(line, index);
    index += 1;
    if (row === null) continue;
    startMs ??= row.atMs;
    lastMs = Math.max(lastMs, row.atMs - startMs);
    yield { ...row, atMs: lastMs };
  }
}

export interface StreamScaling {
  /** In the trace's own time; requests outside are left out, the rest begins at 0. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** Arrival times are multiplied: 0.5 sends the same in half the time. */
  readonly time: number;
  /** Each request comes so many times, or with so much probability. Copies share nothing with each other. */
  readonly rate: number;
  /** Copies come within so much before or after the original. */
  readonly jitterMs: number;
  readonly seed: number;
}

/** Far beyond a trace's own block ids. */
const COPY_STRIDE = 2 ** 32;

/** The stream cut, stretched and multiplied, in order of time. Holds what comes within twice the jitter, not more. */
export function* scaledStream(requests: Iterable<TraceRequest>, scaling: StreamScaling): Generator<TraceRequest> {
  const { fromMs, jitterMs, rate, time, untilMs } = scaling;
  const random = seededRandom(scaling.seed);
  const held: TraceRequest[] = [];
  for (const request of requests) {
    if (request.atMs < fromMs) continue;
    if (request.atMs >= untilMs) break;
    const atMs = (request.atMs - fromMs) * time;
    const copies = Math.floor(rate) + (rate % 1 > 0 && random() < rate % 1 ? 1 : 0);
    for (let copy = 0; copy < copies; copy += 1) {
      const jittered = rate <= 1 ? atMs : Math.max(0, atMs + (2 * random() - 1) * jitterMs);
      insert(held, copyOf(request, jittered, copy));
    }
    // What follows is at `atMs` − jitter at the earliest.
    let due = 0;
    while (due < held.length && held[due]!.atMs <= atMs - jitterMs) due += 1;
    if (due > 0) yield* held.splice(0, due);
  }
  yield* held;
}

function copyOf(request: TraceRequest, atMs: number, copy: number): TraceRequest {
  const { blocks, outputTokens, promptTokens } = request;
  if (blocks === undefined) return { atMs, promptTokens, outputTokens };
  const own = copy === 0 ? blocks : blocks.map((block) => block + copy * COPY_STRIDE);
  return { atMs, promptTokens, outputTokens, blocks: own };
}

/** Mostly at the end. */
function insert(held: TraceRequest[], request: TraceRequest): void {
  let place = held.length;
  while (place > 0 && held[place - 1]!.atMs > request.atMs) place -= 1;
  held.splice(place, 0, request);
}
