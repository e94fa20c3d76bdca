import { CubitError } from '../../core/errors.ts';
import type { EngineDialect } from '../port.ts';
import { HttpClient, httpTransport } from './client.ts';
import { upstreamError } from './errors.ts';

export interface Detected {
  readonly dialect: EngineDialect;
  /** Names of the models it serves. */
  readonly models: readonly string[];
  /** Longest context, where the server says. */
  readonly contextTokens: number | null;
}

/** Which server publishes metrics that begin so. */
const METRIC_PREFIXES: readonly (readonly [prefix: RegExp, dialect: EngineDialect])[] = [
  [/^cubit_worker_/m, 'cubit'],
  [/^vllm:/m, 'vllm'],
  [/^sglang:/m, 'sglang'],
  [/^llamacpp:/m, 'llama-server'],
];
const OWNERS: Readonly<Record<string, EngineDialect>> = {
  cubit: 'cubit',
  vllm: 'vllm',
  sglang: 'sglang',
  llamacpp: 'llama-server',
};

type Fields = Readonly<Record<string, unknown>>;

/**
 * Asks an OpenAI-compatible server what it is: its models (`/v1/models`, which has to answer), then its metrics, the
 * models' owner, and llama-server's `/props`. Unknown servers are `generic`. Throws `invalid_request` for a URL that is
 * none, `engine_unavailable` or `engine_failed` for a server that does not answer as one.
 */
export async function detectDialect(url: string, apiKey: string | null): Promise<Detected> {
  const client = new HttpClient(httpTransport(url, apiKey));
  try {
    const { apiPath, rootPath } = client.transport;
    const cards = await modelCards(client, `${apiPath}/models`);
    const metrics = await optional(client, `${rootPath}/metrics`);
    const byMetrics = METRIC_PREFIXES.find(([prefix]) => metrics !== null && prefix.test(metrics))?.[1];
    const byOwner = OWNERS[String(cards[0]?.['owned_by'])];
    const dialect = byMetrics ?? byOwner ?? 'generic';
    const props = dialect === 'llama-server' ? await optional(client, `${rootPath}/props`) : null;
    return {
      dialect,
      models: cards.map((card) => card['id']).filter((id) => typeof id === 'string'),
      contextTokens: contextOf(cards) ?? contextOfProps(props),
    };
  } finally {
    await client.close();
  }
}

async function modelCards(client: HttpClient, path: string): Promise<readonly Fields[]> {
  const { status, text } = await client.probe('GET', path, new AbortController().signal);
  if (status === 401 || status === 403) {
    throw new CubitError('engine_failed', `The server refuses the key (${status}). Give one that may use ${path}.`);
  }
  if (status !== 200) throw upstreamError(status, text);
  const data = record(parse(text))['data'];
  if (!Array.isArray(data) || data.length === 0) {
    throw new CubitError('engine_failed', `${path} lists no models: this is not an OpenAI-compatible server.`);
  }
  return data.map(record);
}

/** Text of a page that a server may not have. */
async function optional(client: HttpClient, path: string): Promise<string | null> {
  try {
    const { status, text } = await client.probe('GET', path, new AbortController().signal);
    return status === 200 ? text : null;
  } catch {
    return null;
  }
}

function contextOf(cards: readonly Fields[]): number | null {
  const lengths = cards.map((card) => card['max_model_len']).filter((value) => typeof value === 'number');
  return lengths.length === 0 ? null : Math.min(...lengths);
}

function contextOfProps(props: string | null): number | null {
  const settings = record(record(parse(props ?? 'null'))['default_generation_settings']);
  return typeof settings['n_ctx'] === 'number' ? settings['n_ctx'] : null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function record(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}
