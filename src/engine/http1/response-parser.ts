/**
 * Reads answers of an HTTP/1.1 server from whatever pieces the network cuts them into, strictly by RFC 9112: what could
 * be read in two ways is refused, since a proxy that guesses another end than its server mixes up answers.
 */
export interface ResponseHead {
  /** 200 to 599; interim answers (1xx) are passed over. */
  readonly status: number;
  /** As sent; '' without one. */
  readonly contentType: string;
  /** Seconds for which the server keeps an idle connection, when it says so. */
  readonly keepAliveS: number | null;
}

export interface ResponseSink {
  onHead(head: ResponseHead): void;
  /** A view on what was taken: to be copied before the next piece. */
  onBody(part: Buffer): void;
  /** The answer is whole. */
  onEnd(): void;
}

/** Of the server, not of ours: it breaks the protocol. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
}

const HEAD_BYTES_MAX = 32 * 1024;
const INTERIM_MAX = 8;
const CHUNK_DIGITS_MAX = 8;
const EXTENSION_BYTES_MAX = 1_024;
const TRAILER_BYTES_MAX = 16 * 1024;
const HEAD_BEGIN = Buffer.from('HTTP/1.');
const HEAD_END = Buffer.from('\r\n\r\n');
const EMPTY = Buffer.alloc(0);
const CR = 13;
const LF = 10;
const SEMICOLON = 59;
const COLON = 58;

/** Nothing in it can match in two ways, so it takes linear time. Bare CR and LF, NUL, folded lines, blanks before a colon: refused. */
const HEAD = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [^\r\n\0]*)?\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*)$/;
const CRLF = '\r\n';
const LENGTH = /^\d{1,15}$/;
const KEEP_ALIVE = /(?:^|[ ,])timeout=(\d{1,6})(?:$|[ ,])/i;

type Place =
  | 'head'
  | 'fixed'
  | 'until-close'
  | 'size'
  | 'extension'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | Trailer;
type Trailer = 'trailer' | 'trailer-line' | 'trailer-lf' | 'end-lf' | 'over';

/** One connection's answers to POST requests, one after the other. */
export class ResponseParser {
  readonly #sink: ResponseSink;
  #place: Place = 'over';
  #held: Buffer = EMPTY;
  #interims = 0;
  /** Of a body of known length, or of a chunk: bytes to come. */
  #left = 0;
  /** Of the line that is being read: digits, or bytes. */
  #count = 0;
  #hasColon = false;
  #persists = false;

  constructor(sink: ResponseSink) {
    this.#sink = sink;
  }

  /** A request was sent: its answer is expected. */
  expect(): void {
    this.#place = 'head';
    this.#held = EMPTY;
    this.#interims = 0;
  }

  /** The answer is whole and the connection may carry another. */
  get reusable(): boolean {
    return this.#place === 'over' && this.#persists;
  }

  /** Throws a ProtocolError; nothing more may be given then. */
  take(data: Buffer): void {
    let at = 0;
    while (at < data.length) {
      if (this.#place === 'head') at = this.#takeHead(data, at);
      else if (this.#place === 'fixed' || this.#place === 'data') at = this.#takeCounted(data, at);
      else if (this.#place === 'until-close') {
        this.#sink.onBody(at === 0 ? data : data.subarray(at));
        return;
      } else if (this.#place === 'over') throw new ProtocolError('the server sends what nobody asked for');
      else at = this.#takeFraming(data, at);
    }
  }

  /** The server has closed the connection. Throws a ProtocolError when the answer was not whole. */
  close(): void {
    if (this.#place === 'over') return;
    if (this.#place !== 'until-close')
      throw new ProtocolError('the server closed the connection in the middle of its answer');
    this.#over();
  }

  #takeHead(data: Buffer, at: number): number {
    const held = this.#held.length;
    const fresh = at === 0 ? data : data.subarray(at);
    const bytes = held === 0 ? fresh : Buffer.concat([this.#held, fresh]);
    // Whatever speaks something else may never send the end of a head.
    const begun = Math.min(bytes.length, HEAD_BEGIN.length);
    if (bytes.compare(HEAD_BEGIN, 0, begun, 0, begun) !== 0) throw new ProtocolError('the answer is no HTTP/1.1');
    const end = bytes.indexOf(HEAD_END, Math.max(0, held - 3));
    if ((end === -1 ? bytes.length : end) > HEAD_BYTES_MAX)
      throw new ProtocolError('the head of the answer is too long');
    if (end === -1) {
      this.#held = held === 0 ? Buffer.from(bytes) : bytes;
      return data.length;
    }
    this.#held = EMPTY;
    this.#readHead(bytes.toString('latin1', 0, end + 2));
    return at + end + HEAD_END.length - held;
  }

  #readHead(text: string): void {
    const parts = HEAD.exec(text);
    if (parts === null) throw new ProtocolError('the head of the answer is no HTTP/1.1');
    const status = Number(parts[2]);
    if (status < 200) {
      this.#interims += 1;
      if (status === 101 || this.#interims > INTERIM_MAX)
        throw new ProtocolError(`an answer ${status} nobody asked for`);
      return;
    }
    const isOld = parts[1] === '0';
    const { length, coding, contentType, connection, keepAlive } = fieldsOf(parts[3] as string);
    this.#persists = isOld ? connection.includes('keep-alive') : !connection.includes('close');
    if (coding !== null && (coding !== 'chunked' || length !== null || isOld)) {
      throw new ProtocolError('the length of the answer is ambiguous');
    }
    const keepAliveS = KEEP_ALIVE.exec(keepAlive)?.[1];
    this.#sink.onHead({ status, contentType, keepAliveS: keepAliveS === undefined ? null : Number(keepAliveS) });
    this.#left = length ?? 0;
    this.#count = 0;
    if (status === 204 || status === 304 || (coding === null && length === 0)) this.#over();
    else if (coding !== null) this.#place = 'size';
    else if (length !== null) this.#place = 'fixed';
    else {
      this.#persists = false;
      this.#place = 'until-close';
    }
  }

  #takeCounted(data: Buffer, at: number): number {
    const end = Math.min(data.length, at + this.#left);
    this.#sink.onBody(at === 0 && end === data.length ? data : data.subarray(at, end));
    this.#left -= end - at;
    if (this.#left > 0) return end;
    if (this.#place === 'data') this.#place = 'data-cr';
    else this.#over();
    return end;
  }

  /** Everything around chunks, byte by byte: sizes are short. */
  #takeFraming(data: Buffer, from: number): number {
    let at = from;
    while (at < data.length && this.#place !== 'data' && this.#place !== 'over') {
      this.#takeByte(data[at] as number);
      at += 1;
    }
    return at;
  }

  #takeByte(byte: number): void {
    switch (this.#place) {
      case 'size':
        this.#takeSize(byte);
        return;
      case 'extension':
        if (byte === CR) this.#place = 'size-lf';
        else if (byte === LF || byte === 0) throw new ProtocolError('a chunk has no proper size');
        else this.#bound(EXTENSION_BYTES_MAX);
        return;
      case 'size-lf':
        need(byte, LF);
        this.#place = this.#left === 0 ? 'trailer' : 'data';
        this.#count = 0;
        return;
      case 'data-cr':
        need(byte, CR);
        this.#place = 'data-lf';
        return;
      case 'data-lf':
        need(byte, LF);
        this.#place = 'size';
        this.#count = 0;
        return;
      default:
        this.#takeTrailer(byte);
    }
  }

  #takeSize(byte: number): void {
    const digit = hexOf(byte);
    if (digit !== -1) {
      this.#left = this.#count === 0 ? digit : this.#left * 16 + digit;
      this.#bound(CHUNK_DIGITS_MAX);
      return;
    }
    if (this.#count === 0 || (byte !== CR && byte !== SEMICOLON)) throw new ProtocolError('a chunk has no proper size');
    this.#count = 0;
    this.#place = byte === CR ? 'size-lf' : 'extension';
  }

  /** Fields after the last chunk: passed over, but they have to be fields. */
  #takeTrailer(byte: number): void {
    this.#bound(TRAILER_BYTES_MAX);
    if (this.#place === 'trailer') {
      this.#hasColon = false;
      this.#place = byte === CR ? 'end-lf' : 'trailer-line';
      if (byte <= 32 && byte !== CR) throw new ProtocolError('the end of the answer is no HTTP/1.1');
    } else if (this.#place === 'trailer-line') {
      if (byte === COLON) this.#hasColon = true;
      if (byte === CR && this.#hasColon) this.#place = 'trailer-lf';
      else if (byte === CR || byte === LF || byte === 0)
        throw new ProtocolError('the end of the answer is no HTTP/1.1');
    } else if (this.#place === 'trailer-lf') {
      need(byte, LF);
      this.#place = 'trailer';
    } else {
      need(byte, LF);
      this.#over();
    }
  }

  #bound(max: number): void {
    this.#count += 1;
    if (this.#count > max) throw new ProtocolError('the framing of the answer is too long');
  }

  #over(): void {
    this.#place = 'over';
    this.#sink.onEnd();
  }
}

interface Fields {
  length: number | null;
  coding: string | null;
  contentType: string;
  connection: readonly string[];
  keepAlive: string;
}

const LENGTHS_OF_NAMES: ReadonlySet<number> = new Set(
  ['content-length', 'transfer-encoding', 'content-type', 'connection', 'keep-alive'].map((name) => name.length),
);

/** The fields that matter. Throws a ProtocolError where one is there twice that may not be. */
function fieldsOf(lines: string): Fields {
  const fields: Fields = { length: null, coding: null, contentType: '', connection: [], keepAlive: '' };
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf(CRLF, at);
    const colon = lines.indexOf(':', at);
    // Most fields are of no matter, and their length says so.
    if (LENGTHS_OF_NAMES.has(colon - at))
      readField(fields, lines.slice(at, colon).toLowerCase(), lines.slice(colon + 1, end).trim());
    at = end + CRLF.length;
  }
  return fields;
}

function readField(fields: Fields, name: string, value: string): void {
  switch (name) {
    case 'content-length':
      if (fields.length !== null || !LENGTH.test(value))
        throw new ProtocolError('the length of the answer is ambiguous');
      fields.length = Number(value);
      break;
    case 'transfer-encoding':
      if (fields.coding !== null) throw new ProtocolError('the length of the answer is ambiguous');
      fields.coding = value.toLowerCase();
      break;
    case 'content-type':
      fields.contentType = value;
      break;
    case 'connection':
      fields.connection = [...fields.connection, ...value.toLowerCase().split(/[ \t]*,[ \t]*/)];
      break;
    case 'keep-alive':
      fields.keepAlive = value;
  }
}

function hexOf(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function need(byte: number, expected: number): void {
  if (byte !== expected) throw new ProtocolError('a chunk does not end where it says');
}
