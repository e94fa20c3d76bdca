import type { LookupFunction } from 'node:net';
import { Pool } from 'undici';
import { CubitError } from '../../core/errors.ts';
import { PlainPool } from '../http1/pool.ts';
import type { WireRequest } from '../http1/wire.ts';
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
const WAITING_MAX = 16_384;
/** What a header's value may hold; anything else could begin another header. */
const HEADER_VALUE = /^[\t\x20-\x7e]*$/;
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

/**
 * One server's connections: our own for requests over plain HTTP, undici's for TLS and for probes. Every call maps what
 * goes wrong with the transport to `engine_*` errors.
 */
export class HttpClient {
  readonly transport: Transport;
  readonly #timeouts: Timeouts;
  readonly #plain: PlainPool | null;
  /** Made when first used: a replica that only serves plain requests needs none. */
  #pool: Pool | null = null;
  /** Of every request with a body. */
  readonly #headers: readonly string[];
  readonly #host: string;
  /** By path, of which there are a few: what all requests begin with. */
  readonly #heads = new Map<string, string>();

  /** Throws `config_invalid` for a key that cannot stand in a header. */
  constructor(transport: Transport, timeouts: Timeouts = TIMEOUTS) {
    this.transport = transport;
    this.#timeouts = timeouts;
    this.#headers = ['content-type', 'application/json', ...Object.entries(this.#authorization()).flat()];
    const { protocol, host, hostname, port } = new URL(transport.origin);
    this.#host = host;
    if (!this.#headers.every((text) => HEADER_VALUE.test(text))) {
      throw new CubitError('config_invalid', `The API key of ${host} holds characters that no key can have.`);
    }
    // IPv6 stands in brackets in a URL only.
    const place = { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port || 80) };
    const address = transport.socketPath === null ? place : { path: transport.socketPath };
    const bounds = { connectionsMax: CONNECTIONS_MAX, waitingMax: WAITING_MAX };
    // Where a look-up is checked, undici makes the connection with it.
    const isPlain = protocol === 'http:' && transport.lookup === undefined;
    this.#plain = isPlain ? new PlainPool({ address, ...bounds, ...timeouts }) : null;
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
      const text = jsonOf(body);
      if (!headers.every((one) => HEADER_VALUE.test(one))) throw new TypeError('a header holds what no header can');
      if (signal.aborted) return call.head;
      if (this.#plain !== null) this.#plain.dispatch(this.#wireOf(path, headers, text), call);
      else this.#undici().dispatch({ method: 'POST', path, headers: [...this.#headers, ...headers], body: text }, call);
    } catch (error) {
      call.fail(error);
    }
    return call.head;
  }

  #wireOf(path: string, headers: readonly string[], body: string): WireRequest {
    let head = this.#heads.get(path);
    if (head === undefined) {
      head = `POST ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${linesOf(this.#headers)}`;
      this.#heads.set(path, head);
    }
    const bytes = Buffer.byteLength(body);
    const text = `${head}${linesOf(headers)}content-length: ${bytes}\r\n\r\n${body}`;
    return { text, encoding: bytes === body.length ? 'latin1' : 'utf8' };
  }

  #undici(): Pool {
    const { lookup, socketPath, origin } = this.transport;
    const { headersMs, chunkMs, connectMs } = this.#timeouts;
    this.#pool ??= new Pool(origin, {
      connections: CONNECTIONS_MAX,
      headersTimeout: headersMs,
      bodyTimeout: chunkMs,
      connect: { timeout: connectMs, ...(lookup && { lookup }), ...(socketPath === null ? {} : { socketPath }) },
    });
    return this.#pool;
  }

  /** A short call with a short answer: status and text. */
  async probe(method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: object): Promise<Probe> {
    const late = AbortSignal.timeout(this.#timeouts.probeMs);
    const either = AbortSignal.any([signal, late]);
    try {
      const response = await this.#undici().request({
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
  async close(): Promise<void> {
    this.#plain?.close();
    await this.#pool?.destroy();
  }

  #authorization(): Record<string, string> {
    const { apiKey } = this.transport;
    return apiKey === null ? {} : { authorization: `Bearer ${apiKey}` };
  }
}

function linesOf(headers: readonly string[]): string {
  let lines = '';
  for (let at = 0; at < headers.length; at += 2) lines += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return lines;
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
