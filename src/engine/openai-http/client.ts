import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import { CubitError } from '../../core/errors.ts';
import type { CancelSignal } from '../port.ts';
import { Call, textOf } from './call.ts';
import { transportError } from './errors.ts';

/** How a server is reached. Paths of inference are below `apiPath`, health and metrics below `rootPath`. */
export interface Transport {
  readonly origin: string;
  readonly socketPath: string | null;
  readonly apiPath: string;
  readonly rootPath: string;
  readonly apiKey: string | null;
  /** Looks names up in the system's stead. */
  readonly lookup?: LookupFunction;
}

export interface Timeouts {
  readonly connectMs: number;
  /** Until response headers: without a stream that is the whole answer. */
  readonly headersMs: number;
  /** Between two pieces of an answer: catches an engine that died silently. Some send headers long before the first token. */
  readonly chunkMs: number;
  /** A whole call of health, metrics or tokenizer. */
  readonly probeMs: number;
}

export const TIMEOUTS: Timeouts = { connectMs: 5_000, headersMs: 600_000, chunkMs: 120_000, probeMs: 10_000 };

const CONNECTIONS_MAX = 1024;
const PROBE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * `url` as a base of an OpenAI-compatible API, as SDKs take it: `http://host:8000/v1`, or just `http://host:8000` where
 * `/v1` is meant. Throws `invalid_request`.
 */
export function httpTransport(url: string, apiKey: string | null): Transport {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new CubitError('invalid_request', `"${url}" is not an http:// or https:// URL.`, {
      details: { param: 'url' },
    });
  }
  const path = parsed.pathname.replace(/\/+$/, '');
  const apiPath = path === '' ? '/v1' : path;
  return { origin: parsed.origin, socketPath: null, apiPath, rootPath: apiPath.replace(/\/[^/]+$/, ''), apiKey };
}

export function socketTransport(socketPath: string): Transport {
  return { origin: 'http://engine', socketPath, apiPath: '/v1', rootPath: '', apiKey: null };
}

/** One server's connections. Every call maps what goes wrong with the transport to `engine_*` errors. */
export class HttpClient {
  readonly transport: Transport;
  readonly #pool: Pool;
  readonly #timeouts: Timeouts;
  /** Of every request with a body, as undici takes them fastest. */
  readonly #headers: readonly string[];

  constructor(transport: Transport, timeouts: Timeouts = TIMEOUTS) {
    this.transport = transport;
    this.#timeouts = timeouts;
    this.#headers = ['content-type', 'application/json', ...Object.entries(this.#authorization()).flat()];
    this.#pool = new Pool(transport.origin, {
      connections: CONNECTIONS_MAX,
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.chunkMs,
      connect: {
        timeout: timeouts.connectMs,
        ...(transport.lookup !== undefined && { lookup: transport.lookup }),
        ...(transport.socketPath === null ? {} : { socketPath: transport.socketPath }),
      },
    });
  }

  /**
   * Posts JSON and resolves when the head of the answer is in. The caller reads the body or returns from it; `onOver` is
   * called once when nothing more comes. Throws `invalid_request` for a body that no JSON can be made of.
   */
  post(
    path: string,
    body: object,
    headers: readonly string[],
    signal: CancelSignal,
    onOver: () => void,
  ): Promise<Call> {
    const call = new Call(signal, (error) => transportError(error, signal), onOver);
    try {
      const sent = { path, headers: [...this.#headers, ...headers], body: jsonOf(body) };
      if (!signal.aborted) this.#pool.dispatch({ method: 'POST', ...sent }, call);
    } catch (error) {
      call.fail(error);
    }
    return call.head;
  }

  /** A short call with a short answer: status and text. */
  async probe(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: object): Promise<Probe> {
    const late = AbortSignal.timeout(this.#timeouts.probeMs);
    const either = AbortSignal.any([signal, late]);
    try {
      const response = await this.#pool.request({
        method,
        path,
        headers: { ...this.#authorization(), ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        body: body === undefined ? null : JSON.stringify(body),
        signal: either,
      });
      return { status: response.statusCode, text: await textOf(response.body, PROBE_BYTES_MAX) };
    } catch (error) {
      if (late.aborted && !signal.aborted) {
        throw new CubitError('engine_timeout', 'The engine did not answer in time.', { cause: error });
      }
      throw transportError(error, signal);
    }
  }

  /** Ends every connection, whatever runs on it. */
  close(): Promise<void> {
    return this.#pool.destroy();
  }

  #authorization(): Record<string, string> {
    const { apiKey } = this.transport;
    return apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  }
}

/** JSON.parse takes any depth of nesting; JSON.stringify recurses and takes some thousands. */
function jsonOf(body: object): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    throw new CubitError('invalid_request', 'The request is nested too deeply.', { cause: error });
  }
}

export interface Probe {
  readonly status: number;
  readonly text: string;
}
