import { CubitError } from '../core/errors.ts';
import { type AdmitOptions, fitBehindQueue } from './admit.ts';
import { EventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';

export const HEARTBEAT_MS_MIN = 500;
export const HEARTBEAT_MS_MAX = 60_000;

/**
 * From `x-cubit-heartbeat-ms`: how often a stream that has no token yet says that it is alive; null: never. Throws
 * `invalid_request`, also for an answer that is no stream and has no place for it.
 */
export function heartbeatMsOf({ req }: Exchange, stream: boolean): number | null {
  const header = req.headers['x-cubit-heartbeat-ms'];
  if (header === undefined) return null;
  const param = 'x-cubit-heartbeat-ms';
  const ms = typeof header === 'string' && /^\d{1,6}$/.test(header) ? Number(header) : Number.NaN;
  if (!(ms >= HEARTBEAT_MS_MIN && ms <= HEARTBEAT_MS_MAX)) {
    const message = `${param} has to be whole milliseconds from ${HEARTBEAT_MS_MIN} to ${HEARTBEAT_MS_MAX}.`;
    throw new CubitError('invalid_request', message, { details: { param } });
  }
  if (stream) return ms;
  throw new CubitError('invalid_request', `${param} is for streams: add "stream": true, or leave it out.`, {
    details: { param },
  });
}

/**
 * Writes a comment into the stream every `ms` until its first token or its end: SSE clients skip comments, proxies do
 * not time out. The first one sends the head, with status 200: what goes wrong from then on comes as an error event, as in
 * the middle of an answer. Returns what stops it.
 */
export function startHeartbeat(exchange: Exchange, admission: AdmitOptions, ms: number): () => void {
  const timer = setInterval(() => {
    const { res } = exchange;
    if (exchange.answered || res.destroyed || res.writableEnded) return clearInterval(timer);
    if (exchange.stream === null) {
      exchange.unanswered = true;
      exchange.stream = new EventStream(res, { 'x-request-id': exchange.requestId });
    }
    // Who does not read needs no more of them.
    if (!res.writableNeedDrain) exchange.stream.write([commentOf(exchange, admission)]);
  }, ms);
  return () => clearInterval(timer);
}

function commentOf(exchange: Exchange, admission: AdmitOptions): Buffer {
  if (exchange.sentMs !== null) return Buffer.from(': cubit waiting for=first_token\n\n');
  const { queue } = admission.served;
  const fit = fitBehindQueue(admission);
  const waitMs = fit.fits ? 0 : fit.waitMs;
  const predicted = Number.isFinite(waitMs) ? ` predicted_wait_ms=${Math.ceil(waitMs)}` : '';
  return Buffer.from(`: cubit waiting for=place queued=${queue.size}${predicted}\n\n`);
}
