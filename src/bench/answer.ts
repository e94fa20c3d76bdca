import { FrameSplitter } from '../gateway/sse.ts';

/**
 * What a streamed answer says, read from its bytes. A token's frame is found by searching for the fields (quotes inside
 * JSON strings are escaped, so a quoted name before a colon is the field itself); JSON.parse runs once, on the usage.
 */
const FRAME_BYTES_MAX = 4 * 1024 * 1024;
/** The answer's text, and what reasoning models say before it. */
const TEXT_FIELDS = ['"content"', '"reasoning_content"', '"reasoning"'].map((name) => Buffer.from(name));
const USAGE = Buffer.from('"usage"');
const FINISH = Buffer.from('"finish_reason"');
const CHOICES = Buffer.from('"choices"');
const DONE = Buffer.from('[DONE]');
const QUOTE = 0x22;
const BRACE = 0x7b;
const COLON = 0x3a;
const SPACE = 0x20;

export interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number } | null;
  readonly cubit?: Readonly<Record<string, unknown>>;
}

interface Frame {
  readonly usage?: Usage | null;
  readonly error?: { readonly code?: string | null };
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly message?: { readonly content?: string | null };
  }[];
}

export class AnswerScanner {
  readonly #splitter = new FrameSplitter(FRAME_BYTES_MAX);
  readonly #texts: string[] | null;
  #usageFrame: Buffer | null = null;
  /** Frames that carry a piece of the answer. */
  frames = 0;
  firstAtMs: number | null = null;
  lastAtMs = 0;
  /** Between consecutive frames; frames that arrive in one piece are 0 apart. */
  readonly itlMs: number[] = [];
  /** `[DONE]` was seen. */
  done = false;
  finished = false;
  error: string | null = null;

  constructor(keepText: boolean) {
    this.#texts = keepText ? [] : null;
  }

  push(chunk: Buffer, nowMs: number): void {
    if (this.error !== null) return;
    try {
      for (const frame of this.#splitter.push(chunk)) this.#read(frame, nowMs);
    } catch {
      this.error = 'frame_too_large';
    }
  }

  /** The end of the stream; a last frame without its blank line counts. */
  end(nowMs: number): void {
    const rest = this.#splitter.end();
    if (rest !== null) this.#read(rest, nowMs);
  }

  usage(): Usage | null {
    return this.#usageFrame === null ? null : (parse(this.#usageFrame)?.usage ?? null);
  }

  text(): string {
    return this.#texts?.join('') ?? '';
  }

  #read(frame: Buffer, nowMs: number): void {
    const hasText = TEXT_FIELDS.some((field) => isText(frame, field));
    if (hasText) this.#token(frame, nowMs);
    if (valueByte(frame, USAGE) === BRACE) this.#usageFrame = frame;
    if (valueByte(frame, FINISH) === QUOTE) this.finished = true;
    if (hasText || frame.indexOf(CHOICES) !== -1) return;
    if (frame.indexOf(DONE) !== -1) this.done = true;
    else if (parse(frame)?.error !== undefined) this.error = 'stream_error';
  }

  #token(frame: Buffer, nowMs: number): void {
    if (this.firstAtMs === null) this.firstAtMs = nowMs;
    else this.itlMs.push(nowMs - this.lastAtMs);
    this.lastAtMs = nowMs;
    this.frames += 1;
    this.#texts?.push(parse(frame)?.choices?.[0]?.delta?.content ?? '');
  }
}

/** A whole answer, of a server that does not stream though asked to. null when it is not JSON. */
export function wholeAnswer(body: string): { readonly text: string; readonly usage: Usage | null } | null {
  const value = json(body);
  return value === null ? null : { text: value.choices?.[0]?.message?.content ?? '', usage: value.usage ?? null };
}

/** The `error.code` of an error body; null when it has none. */
export function errorCode(body: string): string | null {
  const code = json(body)?.error?.code;
  return typeof code === 'string' && code !== '' ? code : null;
}

function parse(frame: Buffer): Frame | null {
  const text = frame.toString('utf8');
  const start = text.indexOf('data:');
  return start === -1 ? null : json(text.slice(start + 5));
}

function json(text: string): Frame | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : null;
  } catch {
    return null;
  }
}

/** The field's value is a string that is not empty. */
function isText(frame: Buffer, field: Buffer): boolean {
  const at = valueAt(frame, field);
  return at !== -1 && frame[at] === QUOTE && frame[at + 1] !== QUOTE;
}

function valueByte(frame: Buffer, field: Buffer): number {
  return frame[valueAt(frame, field)] ?? 0;
}

/** Where the field's value begins; -1 without the field. */
function valueAt(frame: Buffer, field: Buffer): number {
  const found = frame.indexOf(field);
  if (found === -1) return -1;
  let at = found + field.length;
  while (frame[at] === SPACE || frame[at] === COLON) at += 1;
  return at;
}
