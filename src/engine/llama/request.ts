import { z } from 'zod';
import { CubitError } from '../../core/errors.ts';
import type { ChatMessage } from './template.ts';
import { type Transfer, TransferParams, transferOf } from './transfer.ts';

/** How the next token is drawn. Names and defaults are OpenAI's; `topK`, `minP` and `repetitionPenalty` are vLLM's. */
export interface Sampling {
  readonly temperature: number;
  readonly topP: number;
  /** 0 = all. */
  readonly topK: number;
  readonly minP: number;
  /** null = drawn anew for each request. */
  readonly seed: number | null;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly repetitionPenalty: number;
  /** Added to a token's logit, by token id. */
  readonly logitBias: ReadonlyMap<number, number>;
}

/** Text, or token ids as they are. */
export type PromptInput = string | readonly number[];

export interface GenerationBody {
  readonly prompt: { readonly messages: readonly ChatMessage[] } | { readonly text: PromptInput };
  readonly sampling: Sampling;
  readonly stops: readonly string[];
  /** null = as many as fit. */
  readonly outputTokensMax: number | null;
  /** Goes on after a token that would end the output (vLLM's field): load tests and profiles need exact lengths. */
  readonly ignoreEos: boolean;
  readonly stream: boolean;
  readonly usageAtEnd: boolean;
  readonly usageInEveryChunk: boolean;
  /** null = prefill and decode both here. */
  readonly transfer: Transfer | null;
}

export interface EmbeddingBody {
  readonly inputs: readonly PromptInput[];
  readonly base64: boolean;
}

const INPUTS_MAX = 2048;

const flag = z.boolean().nullish();
const tokenIds = z.array(z.int().nonnegative()).min(1);
const Part = z.object({ type: z.string(), text: z.string().optional() });
const Message = z.object({
  role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
  content: z.union([z.string(), z.array(Part)]).nullish(),
});

const Common = z.object({
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  seed: z.int().nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/), z.number().min(-100).max(100)).nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(4)]).nullish(),
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  ignore_eos: flag,
  stream: flag,
  stream_options: z.object({ include_usage: flag, continuous_usage_stats: flag }).nullish(),
  kv_transfer_params: TransferParams.nullish(),
});
const ChatBody = Common.extend({ messages: z.array(Message).min(1) });
const CompletionBody = Common.extend({ prompt: z.union([z.string(), tokenIds, z.array(z.string()).length(1)]) });
const EmbeddingInput = z.object({
  input: z.union([
    z.string(),
    z.array(z.string()).min(1).max(INPUTS_MAX),
    tokenIds,
    z.array(tokenIds).min(1).max(INPUTS_MAX),
  ]),
  encoding_format: z.enum(['float', 'base64']).nullish(),
});

/** Fields that would change the answer and that this engine cannot honour: refused by name, never ignored. */
const UNSUPPORTED: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: (value) => value !== 1,
  best_of: (value) => value !== 1,
  logprobs: (value) => value !== false,
  top_logprobs: () => true,
  echo: (value) => value === true,
  suffix: (value) => value !== '',
  tools: (value) => !Array.isArray(value) || value.length > 0,
  tool_choice: (value) => value !== 'none' && value !== 'auto',
  functions: (value) => !Array.isArray(value) || value.length > 0,
  response_format: (value) => !(isRecord(value) && value['type'] === 'text'),
  dimensions: () => true,
};

/** What engines on a socket say as `model`: whatever the worker serves. */
export const LOCAL_MODEL = 'local';

const AdapterBody = z.object({ lora_name: z.string().min(1).max(200), lora_path: z.string().min(1).optional() });

/** Reads a call that loads or unloads a LoRA adapter (vLLM's names). Throws `invalid_request`. */
export function parseAdapter(body: unknown): z.output<typeof AdapterBody> {
  return check(AdapterBody, body);
}

/** Reads the body of a chat completion. Throws `invalid_request` or `unsupported_feature` with `details.param`. */
export function parseChat(body: unknown): GenerationBody {
  refuseUnsupported(body);
  const parsed = check(ChatBody, body);
  const messages = parsed.messages.map((message) => ({
    role: message.role === 'developer' ? 'system' : message.role,
    content: plainText(message.content),
  }));
  return generation(parsed, { messages });
}

/** Reads the body of a text completion. Throws as `parseChat`. */
export function parseCompletion(body: unknown): GenerationBody {
  refuseUnsupported(body);
  const parsed = check(CompletionBody, body);
  const [first] = parsed.prompt;
  const text = Array.isArray(parsed.prompt) && typeof first === 'string' ? first : (parsed.prompt as PromptInput);
  return generation(parsed, { text });
}

/** Reads the body of an embeddings request. Throws as `parseChat`. */
export function parseEmbedding(body: unknown): EmbeddingBody {
  refuseUnsupported(body);
  const { input, encoding_format } = check(EmbeddingInput, body);
  const single = typeof input === 'string' || typeof input[0] === 'number';
  return {
    inputs: (single ? [input] : input) as readonly PromptInput[],
    base64: encoding_format === 'base64',
  };
}

function generation(body: z.output<typeof Common>, prompt: GenerationBody['prompt']): GenerationBody {
  const stop = body.stop ?? [];
  return {
    prompt,
    sampling: {
      temperature: body.temperature ?? 1,
      topP: body.top_p ?? 1,
      topK: Math.max(0, body.top_k ?? 0),
      minP: body.min_p ?? 0,
      seed: body.seed ?? null,
      frequencyPenalty: body.frequency_penalty ?? 0,
      presencePenalty: body.presence_penalty ?? 0,
      repetitionPenalty: body.repetition_penalty ?? 1,
      logitBias: new Map(Object.entries(body.logit_bias ?? {}).map(([id, bias]) => [Number(id), bias])),
    },
    stops: typeof stop === 'string' ? [stop] : stop,
    outputTokensMax: body.max_completion_tokens ?? body.max_tokens ?? null,
    ignoreEos: body.ignore_eos ?? false,
    stream: body.stream ?? false,
    usageAtEnd: body.stream_options?.include_usage ?? false,
    usageInEveryChunk: body.stream_options?.continuous_usage_stats ?? false,
    transfer: body.kv_transfer_params == null ? null : transferOf(body.kv_transfer_params),
  };
}

function refuseUnsupported(body: unknown): void {
  if (!isRecord(body)) throw new CubitError('invalid_request', 'The body has to be a JSON object.');
  for (const [param, unsupported] of Object.entries(UNSUPPORTED)) {
    const value = body[param];
    if (value === undefined || value === null || !unsupported(value)) continue;
    throw new CubitError('unsupported_feature', `This model's engine does not support "${param}". Leave it out.`, {
      details: { param },
    });
  }
}

function check<T extends z.ZodType>(schema: T, body: unknown): z.output<T> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const param = issue?.path.join('.') ?? '';
  throw new CubitError('invalid_request', `${param === '' ? 'body' : param}: ${issue?.message ?? 'not valid'}`, {
    details: { param },
  });
}

function plainText(content: z.output<typeof Message>['content']): string {
  if (typeof content === 'string') return content;
  const texts = (content ?? []).map((part) => {
    if (part.type === 'text' && part.text !== undefined) return part.text;
    throw new CubitError('unsupported_feature', `This model reads text only, not "${part.type}" parts.`, {
      details: { param: 'messages' },
    });
  });
  return texts.join('\n');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
