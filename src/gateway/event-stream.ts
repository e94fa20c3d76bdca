import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

const CRLF = '\r\n';
const LAST_CHUNK = '0\r\n\r\n';

/**
 * An answer as server-sent events. It cuts the body into HTTP chunks itself: node:http writes each chunk as four pieces,
 * which costs more than everything else that is done for a token. To a client of HTTP/1.0 the body goes as it is, and
 * the end of the connection ends it.
 */
export class EventStream {
  readonly #res: ServerResponse;
  readonly #isChunked: boolean;

  constructor(res: ServerResponse, headers: OutgoingHttpHeaders) {
    headers['content-type'] = 'text/event-stream; charset=utf-8';
    headers['cache-control'] = 'no-cache';
    res.writeHead(200, headers);
    this.#res = res;
    this.#isChunked = res.chunkedEncoding;
    // What is written from here on is chunks already.
    res.chunkedEncoding = false;
  }

  /** False when the client reads more slowly than this is written: wait for `drain`. */
  write(frames: readonly Buffer[]): boolean {
    return this.#res.write(this.#chunkOf(frames, ''));
  }

  end(frames: readonly Buffer[]): void {
    this.#res.end(this.#chunkOf(frames, LAST_CHUNK));
  }

  #chunkOf(frames: readonly Buffer[], after: string): Buffer {
    let length = 0;
    for (const frame of frames) length += frame.length;
    if (!this.#isChunked) return frames.length === 1 ? (frames[0] as Buffer) : Buffer.concat(frames, length);
    const head = length.toString(16) + CRLF;
    const chunk = Buffer.allocUnsafe(head.length + length + CRLF.length + after.length);
    let at = chunk.write(head, 'latin1');
    for (const frame of frames) {
      chunk.set(frame, at);
      at += frame.length;
    }
    chunk.write(CRLF + after, at, 'latin1');
    return chunk;
  }
}
