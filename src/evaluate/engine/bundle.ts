import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';

/** A folder with the logs of one engine run, in the format of LLMServingSim's `bench/examples` (docs/simulator.md). */
export interface BundleTexts {
  readonly config: string;
  readonly meta: string;
  readonly requests: string;
}

export interface Bundle {
  readonly model: string;
  readonly hardware: Hardware;
  readonly engine: EngineSettings;
  readonly requests: readonly LoggedRequest[];
}

/** Of one accelerator; `ring` of a collective between accelerators. */
export interface Hardware {
  readonly name: string;
  readonly memoryBytes: number;
  readonly memoryShare: number;
  readonly bandwidthBytesPerS: number;
  readonly ring: { readonly latencyUs: number; readonly bytesPerS: number };
}

/** null: the bundle does not say. */
export interface EngineSettings {
  readonly tensor: number;
  readonly ranks: number;
  readonly sequencesMax: number | null;
  readonly stepTokensMax: number | null;
  readonly blockTokens: number | null;
  /** Of one rank. */
  readonly kvBlocks: number | null;
  readonly prefixCaching: boolean | null;
  readonly asyncScheduling: boolean | null;
  readonly dtype: string | null;
  readonly kvDtype: string | null;
  readonly quantization: string | null;
  /** The model's published config.json, where the log carries it. */
  readonly modelConfig: Readonly<Record<string, unknown>> | null;
}

/** Times in seconds: arrivals on one clock, the engine's three stamps on another. */
export interface LoggedRequest {
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly arrivalS: number;
  readonly queuedS: number;
  readonly firstTokenS: number;
  readonly lastTokenS: number;
}

const positive = z.number().positive();
const count = z.int().positive();
const optionalCount = count.nullish();

const Instance = z.object({
  model_name: z.string().min(1),
  hardware: z.string().min(1),
  npu_mem: z.object({ mem_size: positive, mem_bw: positive, mem_util: positive.max(1).default(0.9) }),
  num_npus: optionalCount,
  tp_size: optionalCount,
  pp_size: z.int().default(1),
  pd_type: z.string().nullable().default(null),
  dp_group: z.string().nullish(),
});

const Config = z.object({
  link_bw: positive.or(z.array(positive).min(1)),
  link_latency: z.number().nonnegative().or(z.array(z.number().nonnegative()).min(1)),
  nodes: z.array(z.object({ instances: z.array(Instance).min(1) })).min(1),
});

const Meta = z.object({
  model: z.string().min(1),
  engine_kwargs: z.object({
    tensor_parallel_size: count.default(1),
    data_parallel_size: count.default(1),
    pipeline_parallel_size: z.int().default(1),
    max_num_seqs: optionalCount,
    max_num_batched_tokens: optionalCount,
    dtype: z.string().nullish(),
    kv_cache_dtype: z.string().nullish(),
    quantization: z.string().nullish(),
    block_size: optionalCount,
    enable_prefix_caching: z.boolean().nullish(),
    async_scheduling: z.boolean().nullish(),
  }),
  kv_cache: z
    .object({ num_gpu_blocks: optionalCount, block_size: optionalCount, enable_prefix_caching: z.boolean().nullish() })
    .nullish(),
  resolved_config: z
    .object({
      model_config: z.object({ quantization: z.string().nullish(), hf_config: z.unknown() }).partial().nullish(),
      scheduler_config: z
        .object({
          async_scheduling: z.boolean().nullish(),
          max_num_batched_tokens: optionalCount,
          max_num_seqs: optionalCount,
        })
        .nullish(),
    })
    .nullish(),
});

const Request = z.object({
  input_toks: count,
  output_toks: count,
  arrival_time: z.number(),
  queued_ts: z.number(),
  first_token_ts: z.number(),
  last_token_ts: z.number(),
});

/** Throws `invalid_request` naming the file, and in it the place and what is missing there. */
export function parseBundle({ config, meta, requests }: BundleTexts): Bundle {
  const cluster = parsed('config.json', Config, config);
  const run = parsed('meta.json', Meta, meta);
  const instances = cluster.nodes.flatMap((node) => node.instances);
  const [instance] = instances as [z.output<typeof Instance>];
  if (instances.some((other) => other.hardware !== instance.hardware || other.model_name !== instance.model_name)) {
    invalid('config.json has instances of different hardware or models: give a bundle of one kind.');
  }
  if (instances.some(({ pd_type }) => pd_type !== null)) {
    invalid('config.json splits prefill and decode (pd_type): this command simulates engines that do both.');
  }
  if (instance.pp_size > 1 || run.engine_kwargs.pipeline_parallel_size > 1) {
    invalid('The bundle uses pipeline parallelism, which is not simulated: give one with pp_size 1.');
  }
  const lines = requests.split(/\r?\n/).flatMap((text, index) => (text.trim() === '' ? [] : [{ text, index }]));
  if (lines.length === 0) invalid('requests.jsonl is empty.');
  return {
    model: run.model,
    hardware: hardwareOf(cluster, instance),
    engine: settingsOf(run),
    requests: lines.map(({ index, text }) => requestOf(text, index + 1)),
  };
}

function hardwareOf(cluster: z.output<typeof Config>, instance: z.output<typeof Instance>): Hardware {
  const first = (value: number | readonly number[]) => (typeof value === 'number' ? value : (value[0] as number));
  return {
    name: instance.hardware,
    memoryBytes: instance.npu_mem.mem_size * 2 ** 30,
    memoryShare: instance.npu_mem.mem_util,
    bandwidthBytesPerS: instance.npu_mem.mem_bw * 1e9,
    ring: { latencyUs: first(cluster.link_latency) / 1000, bytesPerS: first(cluster.link_bw) * 1e9 },
  };
}

function settingsOf({
  engine_kwargs: asked,
  kv_cache: kv,
  resolved_config: resolved,
}: z.output<typeof Meta>): EngineSettings {
  const scheduler = resolved?.scheduler_config;
  const hf = resolved?.model_config?.hf_config;
  return {
    tensor: asked.tensor_parallel_size,
    ranks: asked.data_parallel_size,
    sequencesMax: scheduler?.max_num_seqs ?? asked.max_num_seqs ?? null,
    stepTokensMax: scheduler?.max_num_batched_tokens ?? asked.max_num_batched_tokens ?? null,
    blockTokens: kv?.block_size ?? asked.block_size ?? null,
    kvBlocks: kv?.num_gpu_blocks ?? null,
    prefixCaching: kv?.enable_prefix_caching ?? asked.enable_prefix_caching ?? null,
    asyncScheduling: scheduler?.async_scheduling ?? asked.async_scheduling ?? null,
    dtype: asked.dtype ?? null,
    kvDtype: asked.kv_cache_dtype ?? null,
    quantization: resolved?.model_config?.quantization ?? asked.quantization ?? null,
    modelConfig: typeof hf === 'object' && hf !== null ? (hf as Record<string, unknown>) : null,
  };
}

function requestOf(text: string, line: number): LoggedRequest {
  const row = parsed(`requests.jsonl line ${line}`, Request, text);
  if (!(row.queued_ts <= row.first_token_ts && row.first_token_ts <= row.last_token_ts)) {
    invalid(`requests.jsonl line ${line}: its times are not in the order queued, first token, last token.`);
  }
  return {
    promptTokens: row.input_toks,
    outputTokens: row.output_toks,
    arrivalS: row.arrival_time,
    queuedS: row.queued_ts,
    firstTokenS: row.first_token_ts,
    lastTokenS: row.last_token_ts,
  };
}

function parsed<T>(where: string, schema: z.ZodType<T>, text: string): T {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new CubitError('invalid_request', `${where} is not JSON.`, { cause });
  }
  const result = schema.safeParse(data);
  if (result.success) return result.data;
  const faults = result.error.issues.map(({ message, path }) => `${path.join('.') || 'the whole'}: ${message}`);
  return invalid(`${where} lacks something: ${faults.join('; ')}`);
}

function invalid(message: string): never {
  throw new CubitError('invalid_request', message);
}
