import { CubitError } from '../../core/errors.ts';
import type {
  AdapterSource,
  CancelSignal,
  Engine,
  EngineAddress,
  EngineDialect,
  EngineHealth,
  EngineMetrics,
  EngineReply,
  EngineRequest,
} from '../port.ts';
import { isAdapterLost, loadAdapter, unloadAdapter } from './adapters.ts';
import { PATHS, upstreamBody } from './body.ts';
import { textOf } from './call.ts';
import { HttpClient, type Timeouts, type Transport } from './client.ts';
import { DIALECTS } from './dialects.ts';
import { upstreamError } from './errors.ts';
import { engineMetrics } from './metrics.ts';
import { countTokens } from './tokens.ts';

const ERROR_BYTES_MAX = 64 * 1024;

/** An engine behind an OpenAI-compatible server; `llama` workers and other servers differ in transport and dialect. */
export class HttpEngine implements Engine {
  readonly address: EngineAddress;
  readonly #client: HttpClient;
  readonly #model: string;
  readonly #dialect: EngineDialect;
  #inFlight = 0;

  constructor(
    address: EngineAddress,
    options: {
      readonly transport: Transport;
      readonly model: string;
      readonly dialect: EngineDialect;
      readonly timeouts?: Timeouts;
    },
  ) {
    this.address = address;
    this.#client = new HttpClient(options.transport, options.timeouts);
    this.#model = options.model;
    this.#dialect = options.dialect;
  }

  async send(request: EngineRequest, signal: CancelSignal): Promise<EngineReply> {
    const path = this.#client.transport.apiPath + PATHS[request.kind];
    const body = upstreamBody(request, this.#model, this.#dialect);
    const headers = ['x-request-id', request.requestId];
    if (DIALECTS[this.#dialect].salt === 'header') headers.push('x-cubit-cache-salt', request.cacheSalt);
    this.#inFlight += 1;
    const answer = await this.#client.post(path, body, headers, signal, this.#onOver);
    if (answer.status !== 200) {
      const text = await textOf(answer, ERROR_BYTES_MAX);
      throw request.adapter === undefined || !isAdapterLost(answer.status, text)
        ? upstreamError(answer.status, text)
        : new CubitError('model_not_found', `The engine does not have the adapter ${request.adapter}.`);
    }
    return { stream: answer.contentType.startsWith('text/event-stream'), bytes: answer };
  }

  readonly #onOver = () => {
    this.#inFlight -= 1;
  };

  countTokens(request: EngineRequest, signal: AbortSignal): Promise<number | null> {
    return countTokens(this.#client, this.#dialect, this.#model, request, signal);
  }

  loadAdapter(adapter: AdapterSource, signal: CancelSignal): Promise<void> {
    return loadAdapter(this.#client, this.#dialect, adapter, signal);
  }

  unloadAdapter(name: string, signal: CancelSignal): Promise<void> {
    return unloadAdapter(this.#client, this.#dialect, name, signal);
  }

  async health(signal: AbortSignal): Promise<EngineHealth> {
    const { rootPath, apiPath } = this.#client.transport;
    const { healthPath } = DIALECTS[this.#dialect];
    try {
      const path = healthPath === null ? `${apiPath}/models` : rootPath + healthPath;
      const { status, text } = await this.#client.probe('GET', path, signal);
      if (status === 200) return { ok: true, reason: null };
      return { ok: false, reason: `${path} answers ${status} ${text.slice(0, 200)}`.trim() };
    } catch (error) {
      if (signal.aborted) throw error;
      return { ok: false, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** The server's own figures; where it publishes none, the requests that this client has under way. */
  async metrics(signal: AbortSignal): Promise<EngineMetrics> {
    const own: EngineMetrics = {
      running: this.#inFlight,
      waiting: 0,
      kvUsedShare: null,
      promptTokensTotal: null,
      cachedTokensTotal: null,
      outputTokensTotal: null,
    };
    if (DIALECTS[this.#dialect].metrics === null) return own;
    const { status, text } = await this.#client.probe('GET', `${this.#client.transport.rootPath}/metrics`, signal);
    if (status >= 500) throw upstreamError(status, text);
    return (status === 200 ? engineMetrics(text, this.#dialect) : null) ?? own;
  }

  close(): Promise<void> {
    return this.#client.close();
  }
}
