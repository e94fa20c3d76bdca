import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { CubitError, ErrorCode } from '../core/errors.ts';
import type { EventStream } from './event-stream.ts';
import { frameOf } from './sse.ts';

export function sendJson(res: ServerResponse, status: number, value: unknown, headers: OutgoingHttpHeaders = {}): void {
  // A string leaves together with the headers, in one write.
  res.end(headed(res, status, value, headers));
}

/** Writes the head of an answer; returns its body. */
function headed(res: ServerResponse, status: number, value: unknown, headers: OutgoingHttpHeaders): string {
  const text = JSON.stringify(value);
  headers['content-type'] = 'application/json';
  headers['content-length'] = Buffer.byteLength(text);
  res.writeHead(status, headers);
  return text;
}

/** How long a refused body may go on arriving before the connection is closed. */
const LINGER_MS = 5_000;
/** After these the rest of a body is not worth reading: the answer goes out, then the connection closes. */
const CLOSES: ReadonlySet<ErrorCode> = new Set([
  'body_too_large',
  'body_timeout',
  'capacity_exhausted',
  'invalid_api_key',
  'shutting_down',
]);

/**
 * An error in OpenAI's shape, with `details` beside what OpenAI has; as the last event when a stream has begun. To a
 * client that is gone, or does not read, nothing is sent.
 */
export function sendError(
  res: ServerResponse,
  error: CubitError,
  own: OutgoingHttpHeaders = {},
  stream: EventStream | null = null,
): void {
  if (res.destroyed || res.writableEnded) return;
  if (error.code === 'client_closed') {
    res.destroy();
    return;
  }
  if (stream !== null) {
    stream.end([frameOf(errorBody(error))]);
    return;
  }
  const retryAfterMs = error.details['retryAfterMs'];
  const headers: OutgoingHttpHeaders = { ...own };
  if (typeof retryAfterMs === 'number') {
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
    headers['retry-after-ms'] = String(Math.ceil(retryAfterMs));
  }
  const closes = CLOSES.has(error.code);
  if (closes) headers['connection'] = 'close';
  const text = headed(res, error.status, errorBody(error), headers);
  if (closes && !res.req.complete) endAfterUpload(res, text);
  else res.end(text);
}

/**
 * Writes an answer whole and ends it when its request has arrived, or when the time for that is over. The end closes the
 * connection; a client that is in the middle of sending would get a reset for it and never see the answer.
 */
function endAfterUpload(res: ServerResponse, text: string): void {
  res.write(text);
  const timer = setTimeout(() => res.end(), LINGER_MS).unref();
  res.once('close', () => clearTimeout(timer));
  res.req.once('end', () => res.end()).resume();
}

function errorBody(error: CubitError): unknown {
  const { param, ...details } = error.details;
  return {
    error: {
      message: error.message,
      type: error.type,
      param: typeof param === 'string' ? param : null,
      code: error.code,
      ...(Object.keys(details).length > 0 && { details }),
    },
  };
}
