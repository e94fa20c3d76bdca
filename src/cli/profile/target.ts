import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Agent } from 'undici';
import { type ChatCall, timedChat } from '../../bench/client.ts';
import type { Catalog, Template } from '../../catalog/schema.ts';
import type { Config } from '../../config.ts';
import { CubitError } from '../../core/errors.ts';
import { connectEngine } from '../../engine/connect.ts';
import { PREFILL_TOKENS_PER_STEP } from '../../engine/llama/scheduler.ts';
import { SELF_CHECK, selfCheckMs } from '../../engine/llama/self-check.ts';
import { detectDialect } from '../../engine/openai-http/detect.ts';
import { DIALECTS } from '../../engine/openai-http/dialects.ts';
import type { Engine } from '../../engine/port.ts';
import { LocalFleet } from '../../fleet/local/fleet.ts';
import type { ReplicaStatus } from '../../fleet/port.ts';
import type { Limits } from '../../profile/cells.ts';
import type { Send } from '../../profile/probe.ts';
import type { Client } from '../client.ts';
import { weightsWithProgress } from '../weights.ts';
import { OwnTime } from './own-time.ts';

/** An engine that can be profiled, and how to let go of it. */
export interface Target {
  /** The machine and the engine, for people. */
  readonly on: string;
  readonly send: Send;
  readonly limits: Limits;
  /** ms of the engine's own time where that is known, else of the clock. */
  readonly nowMs: () => number;
  /** Share of the time so far that the engine waited for a core that others used; null = not known. */
  readonly lostShare: (() => number) | null;
  /** µs; only of an engine that was started here. */
  readonly selfCheckUs: ((nowMs: () => number) => Promise<number | null>) | null;
  /** Loads an adapter and sends to it; throws what the engine says of one that it cannot load. null: not on this way. */
  readonly adapter: ((path: string) => Promise<AdapterTarget>) | null;
  close(): Promise<void>;
}

export interface AdapterTarget {
  readonly send: Send;
  unload(): Promise<void>;
}

const ADAPTER_NAME = 'cubit-profile';
const LOAD_MS_MAX = 120_000;

const READY_MS_MAX = 120_000;
const WORKER_BYTES = 700 * 2 ** 20;

/** Starts a worker of its own for a template of the embedded engine. Throws `weights_unavailable`, `engine_unavailable`. */
export async function localTarget(catalog: Catalog, template: Template, config: Config): Promise<Target> {
  const weights = catalog.models.get(template.modelId)?.weights;
  if (template.engine.kind !== 'llama' || weights === undefined) {
    throw new CubitError(
      'invalid_request',
      `${template.id} does not run on this machine by itself. Say where it runs: --url (and --model), or --endpoint.`,
    );
  }
  const { contextTokens, sequences, threads } = template.engine;
  const modelPath = await weightsWithProgress(weights, config.cacheDir, config.weights);
  const local = { modelName: template.modelId, modelPath, contextTokens, sequences, threads, selfCheck: null };
  const tail: string[] = [];
  const fleet = new LocalFleet({
    workerPath: fileURLToPath(new URL('../../engine/llama/worker.ts', import.meta.url)),
    execPath: process.execPath,
    templates: () => local,
    limits: { workersMax: 1, memoryBytesMax: totalmem(), memoryBytesPerWorker: WORKER_BYTES },
    connect: connectEngine,
    log: ({ line }) => tail.push(line),
    now: Date.now,
  });
  try {
    fleet.start({ replicaId: 'profile', servedModelId: 'profile', templateId: template.id, role: 'unified' });
    const { address } = await readyReplica(fleet);
    if (address?.kind !== 'llama') throw new CubitError('internal', 'A local worker has no socket.');
    const engine = connectEngine(address);
    const used = threads || Math.max(1, availableParallelism() - 1);
    const own = new OwnTime(fleet.pid('profile') ?? 0, used);
    const dispatcher = new Agent({ connect: { socketPath: address.socketPath }, headersTimeout: 0, bodyTimeout: 0 });
    const server = { url: 'http://engine', apiKey: 'none', model: template.modelId, dispatcher };
    return {
      on: `${cpus()[0]?.model.trim() ?? 'this CPU'}, ${used} ${used === 1 ? 'thread' : 'threads'}`,
      send: (call) => timedChat({ ...server, ...call }),
      limits: {
        contextTokens,
        sequences,
        kvTokens: template.kvTokensPerUnit,
        prefillTokensMax: PREFILL_TOKENS_PER_STEP,
        reportsCache: true,
      },
      nowMs: () => own.nowMs(),
      lostShare: () => own.lostShare(),
      selfCheckUs: async (nowMs) => {
        const ms = await selfCheckMs(engine, SELF_CHECK, nowMs);
        return ms === null ? null : ms * 1000;
      },
      adapter: (path) => adapterTarget(engine, server, path),
      close: async () => {
        own.stop();
        await engine.close();
        await dispatcher.destroy();
        await fleet.close(0);
      },
    };
  } catch (error) {
    await fleet.close(0);
    throw error;
  }
}

async function readyReplica(fleet: LocalFleet): Promise<ReplicaStatus> {
  const untilMs = performance.now() + READY_MS_MAX;
  for (;;) {
    const [replica] = fleet.list();
    if (replica?.state === 'ready') return replica;
    if (replica === undefined || replica.state === 'failed' || performance.now() > untilMs) {
      throw new CubitError('engine_unavailable', `The worker did not become ready. ${replica?.failure ?? ''}`.trim());
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the command line says of an engine elsewhere; the rest is asked of the engine or taken from the template. */
export interface RemoteOptions {
  readonly url: string;
  readonly model: string | undefined;
  readonly apiKey: string | null;
  readonly contextTokens: number | null;
  readonly sequences: number | null;
  readonly prefillTokensMax: number | null;
}

const SEQUENCES = 16;
/** What vLLM evaluates in a step unless told otherwise (`max_num_batched_tokens`). */
const PREFILL_TOKENS_MAX = 8_192;
const CONTEXT_TOKENS = 8_192;

/** An OpenAI-compatible server anywhere. Throws `engine_unavailable`, `engine_failed`, `invalid_request`. */
export async function urlTarget(options: RemoteOptions, template: Template | null): Promise<Target> {
  const { apiKey } = options;
  const url = options.url.replace(/\/+$/, '').replace(/\/v1$/, '');
  const detected = await detectDialect(url, apiKey);
  const model = options.model ?? onlyModel(url, detected.models);
  const engine = template?.engine;
  const contextTokens = options.contextTokens ?? engine?.contextTokens ?? detected.contextTokens ?? CONTEXT_TOKENS;
  const sequences = options.sequences ?? engine?.sequences ?? SEQUENCES;
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const server = { url, apiKey: apiKey ?? 'none', model, dispatcher };
  const connection = connectEngine({ kind: 'openai-http', url, model, apiKey, dialect: detected.dialect });
  return {
    on: `${model} at ${url} (${detected.dialect})`,
    send: (call) => timedChat({ ...server, ...call }),
    limits: {
      contextTokens,
      sequences,
      kvTokens: template?.kvTokensPerUnit ?? contextTokens * sequences,
      prefillTokensMax: options.prefillTokensMax ?? PREFILL_TOKENS_MAX,
      reportsCache: true,
    },
    nowMs: () => performance.now(),
    lostShare: null,
    selfCheckUs: null,
    adapter: (path) => adapterTarget(connection, server, path),
    close: async () => {
      await connection.close();
      await dispatcher.destroy();
    },
  };
}

/** The same server, with requests that name the adapter as its dialect does. */
async function adapterTarget(engine: Engine, server: Server, path: string): Promise<AdapterTarget> {
  const soon = () => AbortSignal.timeout(LOAD_MS_MAX);
  await engine.loadAdapter({ name: ADAPTER_NAME, path }, soon());
  const { address } = engine;
  const byModel = address.kind === 'llama' || DIALECTS[address.dialect].adapters?.named === 'model';
  return {
    send: (call) =>
      byModel
        ? timedChat({ ...server, ...call, model: ADAPTER_NAME })
        : timedChat({ ...server, ...call, extraBody: { ...call.extraBody, lora_path: ADAPTER_NAME } }),
    unload: () => engine.unloadAdapter(ADAPTER_NAME, soon()),
  };
}

type Server = Pick<ChatCall, 'url' | 'apiKey' | 'model'> & { readonly dispatcher: Agent };

function onlyModel(url: string, models: readonly string[]): string {
  const [first] = models;
  if (first !== undefined && models.length === 1) return first;
  const list = models.length === 0 ? 'it lists none' : `it has ${models.slice(0, 10).join(', ')}`;
  throw new CubitError('invalid_request', `Say which model of ${url} with --model: ${list}.`);
}

interface EndpointView {
  readonly name: string;
  readonly state: string;
  readonly models: readonly {
    readonly templateId: string;
    readonly coefficient: number;
    readonly units: number;
    readonly unitsReady: number;
  }[];
}

export interface EndpointTarget {
  readonly target: Target;
  readonly template: Template;
}

/**
 * A Cubit's endpoint through its gateway: what it serves, at most as many requests at once as its tier admits. Throws
 * `invalid_request` for one that is not exactly one ready unit of one model: a profile is of one unit.
 */
export async function endpointTarget(
  client: Client,
  name: string,
  apiKey: string | null,
  catalog: Catalog,
): Promise<EndpointTarget> {
  const list = (await client.call('GET', '/endpoints?limit=100')) as { items: EndpointView[] };
  const endpoint = list.items.find((one) => one.name === name);
  if (endpoint === undefined) {
    throw new CubitError('not_found', `There is no endpoint ${name}. \`cubit endpoint list\` has all.`);
  }
  const [served] = endpoint.models;
  if (served === undefined || endpoint.models.length > 1 || served.unitsReady !== 1 || served.units !== 1) {
    throw new CubitError(
      'invalid_request',
      `A profile is of one unit: ${name} has ${endpoint.models.length} models with ${served?.unitsReady ?? 0} of ${served?.units ?? 0} units ready.`,
    );
  }
  const template = catalog.templates.get(served.templateId);
  if (template === undefined) throw new CubitError('not_found', `The catalogue has no template ${served.templateId}.`);
  if (apiKey === null) {
    throw new CubitError('invalid_api_key', 'Requests need a key of the tenant: name its variable with --api-key-env.');
  }
  const tier = template.tiers.reduce((best, one) =>
    Math.abs(one.coefficient - served.coefficient) < Math.abs(best.coefficient - served.coefficient) ? one : best,
  );
  const dispatcher = new Agent({ headersTimeout: 0, bodyTimeout: 0 });
  const server = { url: client.url, apiKey, model: name, dispatcher };
  const { contextTokens } = template.engine;
  const target: Target = {
    on: `endpoint ${name} of ${client.url}`,
    send: (call) =>
      timedChat({ ...server, ...call, headers: { ...call.headers, 'x-cubit-max-wait-ms': String(READY_MS_MAX) } }),
    limits: {
      contextTokens,
      sequences: tier.batch,
      kvTokens: template.kvTokensPerUnit,
      prefillTokensMax: template.engine.kind === 'llama' ? PREFILL_TOKENS_PER_STEP : PREFILL_TOKENS_MAX,
      reportsCache: true,
    },
    nowMs: () => performance.now(),
    lostShare: null,
    selfCheckUs: null,
    adapter: null,
    close: () => dispatcher.destroy(),
  };
  return { target, template };
}
