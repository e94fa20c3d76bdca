import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { CubitError, toCubitError } from '../../core/errors.ts';
import { Adapters, type LoadedAdapter } from './adapters.ts';
import { StreamedAnswer, wholeAnswer } from './answer.ts';
import { CacheClient } from './cache-client.ts';
import { Embedder, embeddingsJson } from './embedder.ts';
import { Generation, type GenerationEvents } from './generation.ts';
import { readJson, sendError, sendJson } from './http.ts';
import { KvStates } from './kv-state.ts';
import { workerMetricsText } from './metrics-text.ts';
import type { LoadedModel } from './model.ts';
import { Reclaimer } from './reclaim.ts';
import {
  type GenerationBody,
  LOCAL_MODEL,
  parseAdapter,
  parseChat,
  parseCompletion,
  parseEmbedding,
} from './request.ts';
import { Scheduler } from './scheduler.ts';
import type { AnswerHead } from './wire.ts';

export interface WorkerServerOptions {
  readonly name: string;
  readonly waitingMax: number;
  readonly kvFolder: string | null;
  readonly onBroken: (error: unknown) => void;
}

interface Serving {
  readonly loaded: LoadedModel;
  readonly scheduler: Scheduler;
  readonly embedder: Embedder;
  readonly adapters: Adapters;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/**
 * The worker's HTTP face: loading → ready → draining. Before `ready` and after `drain` it refuses inference with 503;
 * `/health` says which it is.
 */
export class WorkerServer {
  readonly http: Server;
  readonly #options: WorkerServerOptions;
  readonly #createdS = Math.floor(Date.now() / 1000);
  readonly #routes: ReadonlyMap<string, Handler>;
  #serving: Serving | null = null;
  #draining = false;
  #inFlight = 0;
  #onIdle: (() => void) | null = null;

  constructor(options: WorkerServerOptions) {
    this.#options = options;
    this.#routes = new Map<string, Handler>([
      ['GET /health', (_, response) => this.#health(response)],
      ['GET /metrics', (_, response) => this.#metrics(response)],
      ['GET /v1/models', (_, response) => this.#models(response)],
      ['POST /v1/tokenize', (request, response) => this.#tokenize(request, response)],
      ['POST /v1/chat/completions', (request, response) => this.#infer('chat', request, response)],
      ['POST /v1/completions', (request, response) => this.#infer('completion', request, response)],
      ['POST /v1/embeddings', (request, response) => this.#embed(request, response)],
      ['POST /v1/load_lora_adapter', (request, response) => this.#loadAdapter(request, response)],
      ['POST /v1/unload_lora_adapter', (request, response) => this.#unloadAdapter(request, response)],
    ]);
    // Clients keep connections; the one that closes idle ones has to be the client, or its next request may be lost.
    this.http = createServer(
      { keepAliveTimeout: 600_000 },
      (request, response) => void this.#handle(request, response),
    );
  }

  ready(loaded: LoadedModel): void {
    const { waitingMax, kvFolder, onBroken } = this.#options;
    const kv =
      kvFolder === null ? null : { states: new KvStates(kvFolder), cache: new CacheClient(kvFolder, console.error) };
    const reclaimer = new Reclaimer();
    const schedulerOf = (model: LoadedModel) => new Scheduler(model, kv, waitingMax, reclaimer, onBroken);
    this.#serving = {
      loaded,
      scheduler: schedulerOf(loaded),
      embedder: new Embedder(loaded, waitingMax, reclaimer),
      adapters: new Adapters(async (path) => {
        const adapted = await loaded.withAdapter(path);
        return { loaded: adapted, scheduler: schedulerOf(adapted) };
      }),
    };
  }

  /** Refuses new requests; resolves when the running ones are done. */
  async drain(): Promise<void> {
    this.#draining = true;
    if (this.#inFlight > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.http.close();
    this.http.closeAllConnections();
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0] ?? '/';
    const handler = this.#routes.get(`${request.method} ${path}`);
    try {
      if (handler === undefined) throw new CubitError('not_found', `There is no ${request.method} ${path} here.`);
      await handler(request, response);
    } catch (error) {
      if (!(error instanceof CubitError)) console.error(error instanceof Error ? error.stack : error);
      if (!response.headersSent) sendError(response, toCubitError(error));
      else response.destroy();
    }
  }

  #health(response: ServerResponse): void {
    const status = this.#draining ? 'draining' : this.#serving === null ? 'loading' : 'ready';
    sendJson(response, status === 'ready' ? 200 : 503, { status });
  }

  #metrics(response: ServerResponse): void {
    const embedder = this.#serving?.embedder;
    const schedulers = this.#serving === null ? [] : schedulersOf(this.#serving);
    const sum = (figure: (scheduler: Scheduler) => number) =>
      schedulers.reduce((total, scheduler) => total + figure(scheduler), 0);
    const text = workerMetricsText(
      {
        running: sum((one) => one.running) + (embedder?.running ?? 0),
        waiting: sum((one) => one.waiting) + (embedder?.waiting ?? 0),
        kvUsedShare: Math.max(0, ...schedulers.map((one) => one.kvUsedShare)),
        promptTokensTotal: sum((one) => one.totals.promptTokens) + (embedder?.promptTokensTotal ?? 0),
        cachedTokensTotal: sum((one) => one.totals.cachedTokens),
        outputTokensTotal: sum((one) => one.totals.outputTokens),
        cancelsTotal: sum((one) => one.totals.cancels),
        cancelFreeS: sum((one) => one.totals.cancelFreeMs) / 1_000,
        lastCancelS: Math.max(0, ...schedulers.map((one) => one.lastCancelMs)) / 1_000,
      },
      this.#options.name,
    );
    response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(text);
  }

  #models(response: ServerResponse): void {
    const { adapters, loaded } = this.#accepting();
    const { name } = this.#options;
    const common = { object: 'model', created: this.#createdS, owned_by: 'cubit', max_model_len: loaded.contextTokens };
    const data = [{ id: name, ...common }, ...adapters.names.map((id) => ({ id, ...common, parent: name }))];
    sendJson(response, 200, { object: 'list', data });
  }

  async #tokenize(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { loaded } = this.#accepting();
    const body = await readJson(request);
    const fields = typeof body === 'object' && body !== null ? body : {};
    const tokens =
      'input' in fields
        ? parseEmbedding(body).inputs.flatMap((input) => loaded.inputTokens(input))
        : loaded.promptTokens(('messages' in fields ? parseChat(body) : parseCompletion(body)).prompt);
    sendJson(response, 200, { count: tokens.length, max_model_len: loaded.contextTokens });
  }

  async #infer(kind: AnswerHead['kind'], request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#accepting();
    this.#track(response);
    const raw = await readJson(request);
    const { loaded, scheduler } = this.#named(raw);
    const body: GenerationBody = kind === 'chat' ? parseChat(raw) : parseCompletion(raw);
    const head = this.#head(kind, request);
    const events: GenerationEvents = body.stream
      ? new StreamedAnswer(response, head, body, () => generation, scheduler)
      : wholeAnswer(response, head, () => generation);
    const generation: Generation = new Generation(loaded, body, salt(request), events);
    if (response.destroyed) return;
    scheduler.submit(generation);
    response.once('close', () => scheduler.cancel(generation));
  }

  /** The base model, or the adapter that a request says as `model`: never one in place of the other. */
  #named(body: unknown): LoadedAdapter {
    const serving = this.#accepting();
    const model = typeof body === 'object' && body !== null && 'model' in body ? body.model : undefined;
    if (model === undefined || model === LOCAL_MODEL || model === this.#options.name) return serving;
    const adapter = typeof model === 'string' ? serving.adapters.find(model) : null;
    if (adapter !== null) return adapter;
    throw new CubitError('model_not_found', `The model ${String(model).slice(0, 100)} does not exist here.`);
  }

  async #loadAdapter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#accepting();
    const { lora_name, lora_path } = parseAdapter(await readJson(request));
    if (lora_path === undefined) throw new CubitError('invalid_request', '"lora_path" is missing.');
    await this.#accepting().adapters.load(lora_name, lora_path);
    sendJson(response, 200, { loaded: lora_name });
  }

  async #unloadAdapter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#accepting();
    const { lora_name } = parseAdapter(await readJson(request));
    await this.#accepting().adapters.unload(lora_name);
    sendJson(response, 200, { unloaded: lora_name });
  }

  async #embed(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#accepting();
    this.#track(response);
    const body = parseEmbedding(await readJson(request));
    const { embedder } = this.#accepting();
    const gone = new AbortController();
    response.once('close', () => gone.abort(new CubitError('client_closed', 'The client left.')));
    const result = await embedder.embed(body.inputs, gone.signal);
    sendJson(response, 200, embeddingsJson(result, this.#options.name, body.base64));
  }

  #head(kind: AnswerHead['kind'], request: IncomingMessage): AnswerHead {
    const given = request.headers['x-request-id'];
    const id = typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : randomUUID();
    const prefix = kind === 'chat' ? 'chatcmpl' : 'cmpl';
    return { kind, id: `${prefix}-${id}`, createdS: Math.floor(Date.now() / 1000), model: this.#options.name };
  }

  #accepting(): Serving {
    if (this.#draining) throw new CubitError('shutting_down', 'This worker is stopping and takes no new requests.');
    if (this.#serving === null) throw new CubitError('engine_unavailable', 'The model is still loading.');
    return this.#serving;
  }

  /** Counts a request until its response is sent or its client is gone, for `drain`. */
  #track(response: ServerResponse): void {
    this.#inFlight += 1;
    response.once('close', () => {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) this.#onIdle?.();
    });
  }
}

function schedulersOf({ adapters, scheduler }: Serving): readonly Scheduler[] {
  return [scheduler, ...adapters.loaded.map((one) => one.scheduler)];
}

function salt(request: IncomingMessage): string {
  const value = request.headers['x-cubit-cache-salt'];
  return typeof value === 'string' ? value : '';
}
