import type { EngineDialect, EngineMetrics } from '../port.ts';

/** Names of one engine's own metrics; the first that is there counts. */
type MetricNames = Readonly<Record<keyof EngineMetrics, readonly string[]>>;

interface Dialect {
  /** Request fields beyond OpenAI's that this server understands and that a client may set. */
  readonly fields: ReadonlySet<string>;
  /** Where the cache salt goes; null = the server has none. */
  readonly salt: 'header' | 'body' | null;
  /** Path of the health check below the server's root; null = ask for the list of models. */
  readonly healthPath: string | null;
  readonly metrics: MetricNames | null;
  /** How LoRA adapters come and go, and how a request names one; null = not while the server runs. */
  readonly adapters: AdapterApi | null;
}

interface AdapterApi {
  /** Below the API's base (`/v1`), or below the server's root. */
  readonly below: 'api' | 'root';
  readonly named: 'model' | 'lora_path';
}

const BY_MODEL: AdapterApi = { below: 'api', named: 'model' };

const SAMPLING = ['top_k', 'min_p', 'repetition_penalty'];
const TOKENS = ['min_tokens', 'stop_token_ids', 'ignore_eos', 'skip_special_tokens'];

/**
 * What differs between servers. Sources: vLLM 0.32 (recorded metrics, "extra parameters" of its OpenAI-compatible
 * server, "LoRA adapters"), SGLang's production metrics, OpenAI API and LoRA pages, llama-server's README.
 */
export const DIALECTS: Readonly<Record<EngineDialect, Dialect>> = {
  cubit: {
    fields: new Set([...SAMPLING, 'ignore_eos']),
    salt: 'header',
    adapters: BY_MODEL,
    healthPath: '/health',
    metrics: {
      running: ['cubit_worker_requests_running'],
      waiting: ['cubit_worker_requests_waiting'],
      kvUsedShare: ['cubit_worker_kv_used_ratio'],
      promptTokensTotal: ['cubit_worker_prompt_tokens_total'],
      cachedTokensTotal: ['cubit_worker_cached_tokens_total'],
      outputTokensTotal: ['cubit_worker_output_tokens_total'],
    },
  },
  vllm: {
    fields: new Set([
      ...SAMPLING,
      ...TOKENS,
      'length_penalty',
      'bad_words',
      'allowed_token_ids',
      'include_stop_str_in_output',
      'spaces_between_special_tokens',
      'truncate_prompt_tokens',
      'add_generation_prompt',
      'continue_final_message',
      'chat_template_kwargs',
    ]),
    salt: 'body',
    adapters: BY_MODEL,
    healthPath: '/health',
    metrics: {
      running: ['vllm:num_requests_running'],
      waiting: ['vllm:num_requests_waiting'],
      kvUsedShare: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc'],
      promptTokensTotal: ['vllm:prompt_tokens_total'],
      cachedTokensTotal: ['vllm:prompt_tokens_cached_total', 'vllm:prefix_cache_hits_total'],
      outputTokensTotal: ['vllm:generation_tokens_total'],
    },
  },
  sglang: {
    fields: new Set([...SAMPLING, ...TOKENS, 'no_stop_trim', 'continue_final_message', 'chat_template_kwargs']),
    salt: 'body',
    adapters: { below: 'root', named: 'lora_path' },
    healthPath: '/health',
    metrics: {
      running: ['sglang:num_running_reqs'],
      waiting: ['sglang:num_queue_reqs'],
      kvUsedShare: ['sglang:token_usage'],
      promptTokensTotal: ['sglang:prompt_tokens_total'],
      cachedTokensTotal: ['sglang:cached_tokens_total'],
      outputTokensTotal: ['sglang:generation_tokens_total'],
    },
  },
  'llama-server': {
    fields: new Set([
      'top_k',
      'min_p',
      'typical_p',
      'repeat_penalty',
      'repeat_last_n',
      'dry_multiplier',
      'dry_base',
      'dry_allowed_length',
      'xtc_probability',
      'xtc_threshold',
      'mirostat',
      'mirostat_tau',
      'mirostat_eta',
      'ignore_eos',
      'chat_template_kwargs',
    ]),
    salt: null,
    adapters: null,
    healthPath: '/health',
    metrics: {
      running: ['llamacpp:requests_processing'],
      waiting: ['llamacpp:requests_deferred'],
      kvUsedShare: ['llamacpp:kv_cache_usage_ratio'],
      promptTokensTotal: ['llamacpp:prompt_tokens_total'],
      cachedTokensTotal: [],
      outputTokensTotal: ['llamacpp:tokens_predicted_total'],
    },
  },
  generic: { fields: new Set(), salt: null, adapters: null, healthPath: null, metrics: null },
};

/** Request fields beyond OpenAI's that servers of this dialect understand; the gateway refuses others by name. */
export function knownFields(dialect: EngineDialect): ReadonlySet<string> {
  return DIALECTS[dialect].fields;
}
