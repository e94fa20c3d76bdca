import { CubitError, type ErrorCode } from '../../core/errors.ts';
import type { CancelSignal } from '../port.ts';

const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ENOENT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
]);
/** Certificates that are expired, of another host or of nobody known; and ports that speak no TLS. */
const TLS = /^(CERT_|ERR_TLS_|ERR_SSL_|EPROTO$|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/;
const TIMED_OUT = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);

/** A failed connection or a broken answer as an engine error; an aborted call as what aborted it. */
export function transportError(error: unknown, signal: Pick<CancelSignal, 'aborted' | 'reason'>): CubitError {
  if (error instanceof CubitError) return error;
  if (signal.aborted) {
    if (signal.reason instanceof CubitError) return signal.reason;
    return new CubitError('client_closed', 'The request was cancelled.', { cause: error });
  }
  const code = codeOf(error);
  if (UNREACHABLE.has(code)) {
    return new CubitError('engine_unavailable', 'The engine cannot be reached.', { cause: error });
  }
  if (TLS.test(code)) {
    const message = `The engine's TLS is not accepted (${code}): check its address and certificate.`;
    return new CubitError('engine_unavailable', message, { cause: error });
  }
  if (TIMED_OUT.has(code)) {
    return new CubitError('engine_timeout', 'The engine did not answer in time.', { cause: error });
  }
  return new CubitError('engine_failed', 'The connection to the engine broke.', { cause: error });
}

/**
 * A server's error answer. What the client got wrong keeps the server's own words, for the client; the log gets status and
 * code only, since servers quote the prompt. Their own log has the rest under the same request id.
 */
export function upstreamError(status: number, text: string): CubitError {
  const upstream = readError(text);
  const cause = new Error(`upstream answered ${status} ${upstream.code.slice(0, 64)}`.trim());
  if (status === 400 || status === 413 || status === 422) {
    const message = upstream.message ?? 'The engine refuses this request.';
    const details = upstream.param === null ? {} : { param: upstream.param };
    return new CubitError(badRequestCode(upstream.code, message), message, { details, cause });
  }
  if (status === 429 || status === 503) {
    return new CubitError('engine_unavailable', 'The engine takes no more requests now.', { cause });
  }
  if (status === 504) return new CubitError('engine_timeout', 'The engine did not answer in time.', { cause });
  return new CubitError('engine_failed', 'The engine failed on this request.', { cause });
}

function badRequestCode(code: string, message: string): ErrorCode {
  if (code === 'unsupported_feature') return code;
  const tooLong = /context[ _](length|size|window)|exceed_context|longer than the model/i;
  return tooLong.test(code) || tooLong.test(message) ? 'context_length_exceeded' : 'invalid_request';
}

/** OpenAI's `{error: {...}}`, or the bare object that older vLLM and SGLang versions send. */
function readError(text: string): { message: string | null; code: string; param: string | null } {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { message: null, code: '', param: null };
  }
  const outer = record(body);
  const error = Object.hasOwn(outer, 'error') ? record(outer['error']) : outer;
  const { message, code, type, param } = error;
  return {
    message: typeof message === 'string' ? message : null,
    code: typeof code === 'string' ? code : typeof type === 'string' ? type : '',
    param: typeof param === 'string' ? param : null,
  };
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function codeOf(error: unknown): string {
  const { code } = record(error);
  return typeof code === 'string' ? code : '';
}
