import { CubitError } from '../core/errors.ts';

/**
 * Server-sent events as bytes. A stream is read frame by frame with native byte searches and no JSON.parse per token:
 * quotes inside JSON strings are escaped, so `"finish_reason"` followed by a colon can only be the field itself.
 */
const LF = 10;
const CR = 13;
const SPACE = 32;
const COLON = 58;
const EMPTY = Buffer.alloc(0);
// A search for bytes is faster than one for a string, which has to be encoded every time.
const DATA = Buffer.from('data:');
const CHOICES = Buffer.from('"choices"');
const FINISH_REASON = Buffer.from('"finish_reason"');

/** Cuts a stream into frames, each with its blank line; what is incomplete waits for the next chunk, up to `bytesMax`. */
export class FrameSplitter {
  readonly #bytesMax: number;
  #rest: Buffer = EMPTY;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Frames that are whole now; they share memory with the chunk. Throws `engine_failed` on a frame beyond the limit. */
  push(chunk: Uint8Array): Buffer[] {
    const fresh = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // Most chunks are just one frame.
    const isOne = this.#rest.length === 0 && fresh.length > 2 && fresh[fresh.length - 1] === LF;
    return isOne && fresh.indexOf(LF) === fresh.length - 2 ? [fresh] : this.#cut(fresh);
  }

  #cut(fresh: Buffer): Buffer[] {
    const bytes = this.#rest.length === 0 ? fresh : Buffer.concat([this.#rest, fresh]);
    const frames: Buffer[] = [];
    let start = 0;
    // What was searched before needs no second search, but for a blank line cut in two.
    let from = Math.max(0, this.#rest.length - 2);
    for (let at = bytes.indexOf(LF, from); at !== -1; at = bytes.indexOf(LF, from)) {
      from = at + 1;
      const next = bytes[from] === CR ? from + 1 : from;
      if (bytes[next] !== LF) continue;
      frames.push(bytes.subarray(start, next + 1));
      start = from = next + 1;
    }
    this.#rest = bytes.subarray(start);
    if (this.#rest.length > this.#bytesMax) {
      throw new CubitError('engine_failed', 'The engine sent an event that is too large.');
    }
    return frames;
  }

  /** The end of the stream: what is left, as the frame that it is without its blank line. */
  end(): Buffer | null {
    const rest = this.#rest;
    this.#rest = EMPTY;
    return rest.toString('latin1').trim() === '' ? null : Buffer.concat([rest, Buffer.from('\n\n')]);
  }
}

/**
 * done: `[DONE]`. content: a chunk with choices. finish: a chunk with a finish reason. usage: a chunk with no choices.
 * other: data without choices (errors). comment: nothing for a client to read.
 */
export type FrameKind = 'content' | 'finish' | 'usage' | 'done' | 'other' | 'comment';

export function kindOf(frame: Buffer): FrameKind {
  const data = dataStart(frame);
  if (data === -1) return 'comment';
  if (frame[data] === 0x5b && frame.indexOf('[DONE]', data) === data) return 'done';
  const choices = valueAfter(frame, CHOICES);
  if (choices === -1) return 'other';
  if (frame[choices] === 0x5b /* [ */ && frame[skipSpace(frame, choices + 1)] === 0x5d /* ] */) return 'usage';
  return finishes(frame) ? 'finish' : 'content';
}

/** The JSON of a frame. Throws `engine_failed` when it is none. */
export function jsonOf(frame: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(frame.toString('utf8', Math.max(0, dataStart(frame))));
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // The parser's own error quotes the answer, which is not for the log.
    throw new CubitError('engine_failed', 'The engine sent an event that is not JSON.');
  }
  throw new CubitError('engine_failed', 'The engine sent an event that is not an object.');
}

export function frameOf(value: unknown): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\n\n`);
}

export const DONE_FRAME = Buffer.from('data: [DONE]\n\n');

/** Where the first `data:` line's value begins; -1 without one. */
function dataStart(frame: Buffer): number {
  if (frame.length > 5 && frame[0] === 0x64 /* d */ && frame[4] === COLON) {
    if (frame[1] === 0x61 && frame[2] === 0x74 && frame[3] === 0x61) return skipSpace(frame, 5);
  }
  for (let at = frame.indexOf(DATA); at !== -1; at = frame.indexOf(DATA, at + 1)) {
    if (at === 0 || frame[at - 1] === LF) return skipSpace(frame, at + 5);
  }
  return -1;
}

/** A choice whose `finish_reason` is neither null nor empty; a batched request has several choices. */
function finishes(frame: Buffer): boolean {
  const { length } = FINISH_REASON;
  for (let at = frame.indexOf(FINISH_REASON); at !== -1; at = frame.indexOf(FINISH_REASON, at + length)) {
    const value = valueAt(frame, at + length);
    if (value !== -1 && frame[value] === 0x22 /* " */ && frame[value + 1] !== 0x22) return true;
  }
  return false;
}

function valueAfter(frame: Buffer, field: Buffer): number {
  const at = frame.indexOf(field);
  return at === -1 ? -1 : valueAt(frame, at + field.length);
}

/** Where the value begins whose colon is expected at `at`; -1 without a colon. */
function valueAt(frame: Buffer, at: number): number {
  const colon = skipSpace(frame, at);
  return frame[colon] === COLON ? skipSpace(frame, colon + 1) : -1;
}

function skipSpace(frame: Buffer, from: number): number {
  let at = from;
  while (frame[at] === SPACE || frame[at] === LF || frame[at] === CR) at += 1;
  return at;
}
