import { hash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import OpenAI from 'openai';
import { Registry } from 'prom-client';
import type { Receipt } from '../core/commerce/metering.ts';
import { CubitError, type ErrorCode } from '../core/errors.ts';
import type {
  AdapterSource,
  ConnectEngine,
  Engine,
  EngineAddress,
  EngineReply,
  EngineRequest,
} from '../engine/port.ts';
import type { GatewayDeps } from './deps.ts';
import { createGateway, type Gateway } from './gateway.ts';
import { DEFAULT_LIMITS, type GatewayLimits } from './limits.ts';
import {
  type EndpointSnapshot,
  endpointKey,
  type GatewaySnapshot,
  type KeySnapshot,
  type ReplicaSnapshot,
  type ServedModelSnapshot,
} from './snapshot.ts';

/** How a fake engine answers one request. */
export interface Script {
  /** Output tokens of the answer. */
  readonly tokens?: number;
  readonly firstMs?: number;
  readonly chunkMs?: number;
  /** Pads each token, to fill buffers. */
  readonly tokenText?: string;
  /** send() rejects. */
  readonly refuse?: ErrorCode;
  /** send() never settles, whatever the signal does. */
  readonly hang?: boolean;
  /** After so many tokens: throw, end without [DONE], stay silent, or send an error event. */
  readonly after?: { readonly tokens: number; readonly end: 'throw' | 'end' | 'silence' | 'error' };
  /** Sent instead of an answer. */
  readonly raw?: Iterable<string | Uint8Array>;
  readonly usage?: boolean;
  readonly cachedTokens?: number;
}

export class FakeEngine implements Engine {
  readonly address: EngineAddress;
  readonly requests: EngineRequest[] = [];
  script: (request: EngineRequest) => Script = () => ({});
  running = 0;
  runningMax = 0;
  aborted = 0;
  /** Chunks handed out. */
  sent = 0;
  closed = false;
  /** LoRA adapters that it has, by name; a test takes one away as a restart would. */
  readonly adapters = new Set<string>();
  /** `+name` for each load, `-name` for each unload. */
  readonly adapterCalls: string[] = [];
  keepsAdapters = true;
  /** What a load takes; null = it fails. */
  adapterLoad: (() => Promise<void>) | null = async () => {};

  constructor(address: EngineAddress) {
    this.address = address;
  }

  async send(request: EngineRequest, signal: AbortSignal): Promise<EngineReply> {
    this.requests.push(request);
    const script = this.script(request);
    if (script.hang) return new Promise(() => {});
    const { adapter } = request;
    if (adapter !== undefined && !this.adapters.has(adapter)) throw new CubitError('model_not_found', 'lost');
    if (script.refuse !== undefined) throw new CubitError(script.refuse, 'refused by script');
    const stream = request.body['stream'] === true;
    return { stream, bytes: this.#answer(request, script, stream, signal) };
  }

  async *#answer(
    request: EngineRequest,
    script: Script,
    stream: boolean,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    this.running += 1;
    this.runningMax = Math.max(this.runningMax, this.running);
    let whole = false;
    try {
      const parts = script.raw ?? (stream ? sseOf(request, script) : [jsonOf(request, script)]);
      await pause(script.firstMs ?? 0, signal);
      for (const part of parts) {
        if (signal.aborted) throw signal.reason;
        if (part === SILENCE) await pause(3_600_000, signal);
        if (part === CRASH) throw new CubitError('engine_failed', 'The engine process died.');
        this.sent += 1;
        yield typeof part === 'string' ? Buffer.from(part) : part;
        if (script.chunkMs !== undefined) await pause(script.chunkMs, signal);
      }
      whole = true;
    } finally {
      this.running -= 1;
      if (!whole && signal.aborted) this.aborted += 1;
    }
  }

  async loadAdapter({ name }: AdapterSource): Promise<void> {
    this.adapterCalls.push(`+${name}`);
    if (this.adapterLoad === null) throw new CubitError('invalid_request', 'no such file /secret/path');
    await this.adapterLoad();
    if (this.keepsAdapters) this.adapters.add(name);
  }

  async unloadAdapter(name: string): Promise<void> {
    this.adapterCalls.push(`-${name}`);
    this.adapters.delete(name);
  }

  async countTokens(): Promise<null> {
    return null;
  }

  async health() {
    return { ok: true, reason: null };
  }

  async metrics() {
    const unknown = { kvUsedShare: null, promptTokensTotal: null, cachedTokensTotal: null, outputTokensTotal: null };
    return { running: this.running, waiting: 0, ...unknown };
  }

  async close(): Promise<void> {
    this.closed = true;
  }
}

const SILENCE = '\0silence';
const CRASH = '\0crash';

/** Prompt tokens that the fake counts: one per 4 characters of everything it was sent as prompt. */
export function fakePromptTokens(request: EngineRequest): number {
  const { messages, prompt, input } = request.body;
  return Math.ceil(JSON.stringify(messages ?? prompt ?? input).length / 4);
}

function usageOf(request: EngineRequest, script: Script) {
  const promptTokens = fakePromptTokens(request);
  const tokens = request.kind === 'embedding' ? 0 : (script.tokens ?? 5);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
    prompt_tokens_details: { cached_tokens: script.cachedTokens ?? 0 },
  };
}

function base(request: EngineRequest) {
  const object = request.kind === 'chat' ? 'chat.completion.chunk' : 'text_completion';
  return { id: `cmpl-${request.requestId}`, object, created: 1, model: 'fake' };
}

function* sseOf(request: EngineRequest, script: Script): Generator<string> {
  const chat = request.kind === 'chat';
  const frame = (value: unknown) => `data: ${JSON.stringify(value)}\n\n`;
  const chunk = (text: string, finish: string | null = null) => {
    const part = chat ? { delta: { content: text } } : { text };
    return frame({ ...base(request), choices: [{ index: 0, ...part, finish_reason: finish }] });
  };
  if (chat) {
    const choice = { index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null };
    yield frame({ ...base(request), choices: [choice] });
  }
  for (let token = 0; token < (script.tokens ?? 5); token += 1) {
    if (script.after?.tokens === token) {
      if (script.after.end === 'throw') yield CRASH;
      if (script.after.end === 'silence') yield SILENCE;
      if (script.after.end === 'error') yield frame({ error: { message: 'secret internals', code: 500 } });
      return;
    }
    yield chunk(script.tokenText ?? `t${token} `);
  }
  yield chunk('', 'stop');
  if (script.usage !== false) yield frame({ ...base(request), choices: [], usage: usageOf(request, script) });
  yield 'data: [DONE]\n\n';
}

function jsonOf(request: EngineRequest, script: Script): string {
  const usage = script.usage === false ? {} : { usage: usageOf(request, script) };
  if (request.kind === 'embedding') {
    const data = [{ object: 'embedding', index: 0, embedding: [0.25, -0.5] }];
    return JSON.stringify({ object: 'list', model: 'fake', data, ...usage });
  }
  const text = Array.from({ length: script.tokens ?? 5 }, (_, i) => `t${i}`).join(' ');
  const answer = request.kind === 'chat' ? { message: { role: 'assistant', content: text } } : { text };
  const choices = [{ index: 0, ...answer, finish_reason: 'stop' }];
  return JSON.stringify({ ...base(request), object: 'chat.completion', choices, ...usage });
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export const KEY = 'sk-test-key';
export const OTHER_KEY = 'sk-other-key';

export function served(overrides: Partial<ServedModelSnapshot> = {}): ServedModelSnapshot {
  return {
    servedModelId: 'sm-1',
    modelId: 'fake-model',
    trafficPercent: 100,
    contextTokens: 4_096,
    capabilities: { chat: true, completion: true, embedding: true, structuredOutput: false, tools: false },
    coefficients: { p0Us: 1_000, p1Us: 100, p2Us: 0.01, d1Us: 5_000, d2Us: 0.5 },
    batchPerUnit: 4,
    kvTokensPerUnit: 100_000,
    disaggregated: false,
    startupMs: 60_000,
    unitsMax: 1,
    replicas: [replica('rep-1')],
    ...overrides,
  };
}

export function replica(replicaId: string, overrides: Partial<ReplicaSnapshot> = {}): ReplicaSnapshot {
  const address: EngineAddress = { kind: 'llama', socketPath: replicaId };
  return { replicaId, role: 'unified', state: 'ready', address, startedAtMs: 1, ...overrides };
}

export function endpoint(overrides: Partial<EndpointSnapshot> = {}): EndpointSnapshot {
  return {
    endpointId: 'ep-1',
    tenantId: 't-1',
    name: 'demo',
    createdAtMs: 1_700_000_000_000,
    maxWaitMs: 0,
    servedModels: [served()],
    ...overrides,
  };
}

let versions = 0;

export function snapshot(...endpoints: EndpointSnapshot[]): GatewaySnapshot {
  const key = (secret: string, own: KeySnapshot): [string, KeySnapshot] => [hash('sha256', secret, 'hex'), own];
  versions += 1;
  return {
    version: versions,
    keys: new Map([key(KEY, { keyId: 'key-1', tenantId: 't-1' }), key(OTHER_KEY, { keyId: 'key-2', tenantId: 't-2' })]),
    endpoints: new Map(
      endpoints.flatMap((one) => [
        [endpointKey(one.tenantId, one.name), one],
        [endpointKey(one.tenantId, one.endpointId), one],
      ]),
    ),
  };
}

/** A gateway behind a real server on a free port, over fake engines, with the official SDK as client. */
export class Harness {
  readonly receipts: Receipt[] = [];
  readonly logs: string[] = [];
  readonly registry = new Registry();
  /** By socket path, which the fixture sets to the replica's id. */
  readonly engines = new Map<string, FakeEngine>();
  readonly gateway: Gateway;
  readonly #server: Server;
  script: (request: EngineRequest) => Script = () => ({});

  constructor(limits: Partial<GatewayLimits> = {}, overrides: Partial<GatewayDeps> = {}) {
    let requests = 0;
    const write = (fields: object, message: string) => {
      // As pino does: an error with its message and those of its causes.
      this.logs.push(inspect([message, fields], { depth: 8 }));
    };
    this.gateway = createGateway({
      connect: this.#connect,
      knownFields: (dialect) => new Set(dialect === 'cubit' ? ['top_k'] : ['top_k', 'min_p']),
      now: () => Date.now(),
      monotonicMs: () => performance.now(),
      newRequestId: () => `req-${++requests}`,
      record: (receipt) => this.receipts.push(receipt),
      log: { info: write, warn: write, error: write },
      registry: this.registry,
      limits: { ...DEFAULT_LIMITS, ...limits },
      ...overrides,
    });
    this.#server = createServer((req, res) => {
      if (this.gateway.handle(req, res)) return;
      res.writeHead(404).end('not the gateway');
    });
  }

  #connect: ConnectEngine = (address) => {
    const engine = new FakeEngine(address);
    engine.script = (request) => this.script(request);
    this.engines.set(address.kind === 'llama' ? address.socketPath : address.url, engine);
    return engine;
  };

  async start(...endpoints: EndpointSnapshot[]): Promise<this> {
    this.gateway.apply(snapshot(...(endpoints.length > 0 ? endpoints : [endpoint()])));
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  client(path = '/v1', apiKey = KEY): OpenAI {
    return new OpenAI({ baseURL: this.url + path, apiKey, maxRetries: 0, timeout: 30_000 });
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    return fetch(this.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEY}`, ...headers },
      body: text,
    });
  }

  /** Until nothing is on its way; fails after two seconds. */
  async idle(): Promise<void> {
    await until(() => this.gateway.stats().active === 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gateway.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export async function until(holds: () => boolean, msMax = 2_000): Promise<void> {
  for (const endMs = performance.now() + msMax; !holds(); await pause(5)) {
    if (performance.now() > endMs) throw new Error('It did not come true in time.');
  }
}
