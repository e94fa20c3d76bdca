/**
 * The engine port: what the gateway asks of anything that serves a model. Engines speak OpenAI's wire format, so bytes
 * pass through; two live implementations (`llama`, `openai-http`) run one contract suite (`engine.case.ts`).
 */
export type InferenceKind = 'chat' | 'completion' | 'embedding';

export interface EngineRequest {
  readonly kind: InferenceKind;
  /** OpenAI-shaped, validated. `model` is set by the engine. A stream always asks for usage in its last chunk. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly requestId: string;
  /** Prefixes are reused only between requests with the same salt (one per tenant). */
  readonly cacheSalt: string;
  /**
   * Fields by which prefill and decode machines find each other (`kv_transfer_params`, `bootstrap_*`). Set by the gateway
   * only: in `body`, where clients could, they are dropped.
   */
  readonly transfer?: Readonly<Record<string, unknown>>;
  /** The LoRA adapter that answers, by the name it was loaded under. */
  readonly adapter?: string;
}

/** A LoRA adapter as an engine loads it. */
export interface AdapterSource {
  readonly name: string;
  /** As the engine sees it: a GGUF file (embedded), a folder in PEFT's layout (vLLM, SGLang). */
  readonly path: string;
}

export interface EngineReply {
  /** True: `bytes` are server-sent events. False: one JSON document. */
  readonly stream: boolean;
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface EngineHealth {
  readonly ok: boolean;
  /** For people, when not ok. */
  readonly reason: string | null;
}

/** One shape for every engine's own metrics. null = the engine does not say. */
export interface EngineMetrics {
  readonly running: number;
  readonly waiting: number;
  readonly kvUsedShare: number | null;
  readonly promptTokensTotal: number | null;
  readonly cachedTokensTotal: number | null;
  readonly outputTokensTotal: number | null;
}

/** Where an engine is reached; plain data, so that a gateway in another process can connect. */
export type EngineAddress =
  | { readonly kind: 'llama'; readonly socketPath: string }
  | {
      readonly kind: 'openai-http';
      readonly url: string;
      /** The model's name on that server. */
      readonly model: string;
      readonly apiKey: string | null;
      readonly dialect: EngineDialect;
      /** A tenant named it: only addresses that are public, or that the operator allows, are connected to. */
      readonly publicOnly?: boolean;
      /** Of an SGLang prefill server: where decode servers ask for KV states; its default unless said. */
      readonly bootstrapPort?: number;
      readonly kvEvents?: KvEventSource;
    };

/** Where an engine publishes what its KV cache holds (ZeroMQ addresses). */
export interface KvEventSource {
  readonly events: string;
  /** Where what was missed can be asked for again; null = nowhere. */
  readonly replay: string | null;
}

/** Which server speaks: decides the extra request fields it knows and the names of its metrics. */
export type EngineDialect = 'cubit' | 'vllm' | 'sglang' | 'llama-server' | 'generic';

/** What `send` asks of an AbortSignal; the gateway's own (`gateway/watchdog.ts`) costs a fraction of one. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

export interface Engine {
  readonly address: EngineAddress;
  /** Resolves when response headers are in. Throws CubitError `engine_*`, `context_length_exceeded`, `invalid_request`, `unsupported_feature`, and `model_not_found` when it has lost the request's adapter. Aborting the signal frees the engine's slot. */
  send(request: EngineRequest, signal: CancelSignal): Promise<EngineReply>;
  /** Exact prompt tokens of a request, chat template applied; null when the engine has no tokenizer to ask. */
  countTokens(request: EngineRequest, signal: AbortSignal): Promise<number | null>;
  /**
   * After it, requests may name the adapter. One that is loaded already is no error. Throws `engine_*`, `invalid_request`
   * for what the engine cannot load, `capacity_exhausted` when it has no room, `unsupported_feature`.
   */
  loadAdapter(adapter: AdapterSource, signal: CancelSignal): Promise<void>;
  /** One that is not loaded is no error. Throws `conflict` while the engine uses it, `engine_*`. */
  unloadAdapter(name: string, signal: CancelSignal): Promise<void>;
  health(signal: AbortSignal): Promise<EngineHealth>;
  metrics(signal: AbortSignal): Promise<EngineMetrics>;
  close(): Promise<void>;
}

export type ConnectEngine = (address: EngineAddress) => Engine;
