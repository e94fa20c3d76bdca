import { CubitError } from '../core/errors.ts';
import type { EngineDialect, InferenceKind } from '../engine/port.ts';
import { checkMessages, isInput, normalisedMessages } from './messages.ts';
import type { Body } from './parse.ts';
import type { ModelCapabilities } from './snapshot.ts';

/**
 * Which parameters a request may have, as one table per kind. Every parameter meets one of five fates:
 *
 * - pass: the engine honours it;
 * - drop: it does not change the answer (bookkeeping fields, or the default value of a feature that is off);
 * - unsupported: it would change the answer and cannot be honoured: 400 `unsupported_feature`, naming all of them;
 * - wrong type or range: 400 `invalid_request`, naming it;
 * - not in the table: passes when this engine's dialect knows it; 400 `unsupported_feature` when only other engines do;
 *   400 `invalid_request` when nobody does, since silence would be a wrong answer (OpenAI does the same).
 *
 * Explicit nulls are absent (see parse.ts), so SDKs that send every unset field as null (volcengine) are fine. Names come
 * from the OpenAI SDK's types, Ark's `thinking` and Databricks' `client_request_id` and `usage_context`.
 */
type Fate = 'pass' | 'drop' | 'unsupported' | { readonly expects: string };
type Rule = (value: unknown, capabilities: ModelCapabilities) => Fate;
type Table = Readonly<Record<string, Rule>>;

/** They steer engines from inside (KV hand-off, cache isolation) and are never taken from clients. */
const STRIPPED = ['kv_transfer_params', 'bootstrap_host', 'bootstrap_port', 'bootstrap_room', 'cache_salt'];
export const DIALECTS: readonly EngineDialect[] = ['cubit', 'vllm', 'sglang', 'llama-server', 'generic'];

/** Engines go through all of them for every token. */
const BIASES_MAX = 1_024;

const isString = (v: unknown): v is string => typeof v === 'string';
const isBoolean = (v: unknown): v is boolean => typeof v === 'boolean';
const isObject = (v: unknown): v is Readonly<Record<string, unknown>> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);
const within = (low: number, high: number) => (v: unknown) => typeof v === 'number' && v >= low && v <= high;
const whole = (low: number) => (v: unknown) => Number.isSafeInteger(v) && (v as number) >= low;

const takes = (test: (v: unknown) => boolean, fate: 'pass' | 'drop', expects: string): Rule => {
  return (value) => (test(value) ? fate : { expects });
};
/** A feature that is off: only these values mean "off". */
const off = (...values: readonly unknown[]): Rule => {
  return (value) => (values.includes(value) ? 'drop' : 'unsupported');
};
const harmless: Rule = () => 'drop';

const count = takes(whole(1), 'pass', 'a whole number of at least 1');
const single: Rule = (v) => (whole(1)(v) ? (v === 1 ? 'drop' : 'unsupported') : { expects: 'a whole number from 1' });
const penalty = takes(within(-2, 2), 'pass', 'a number from -2 to 2');
const isStop = (v: unknown) => isString(v) || (Array.isArray(v) && v.length <= 4 && v.every(isString));

const BOOKKEEPING: Table = {
  model: takes(isString, 'drop', 'a string'),
  user: takes(isString, 'drop', 'a string'),
  metadata: takes(isObject, 'drop', 'an object'),
  store: harmless,
  service_tier: harmless,
  safety_identifier: harmless,
  prompt_cache_key: harmless,
  prompt_cache_retention: harmless,
  prompt_cache_options: harmless,
  client_request_id: harmless,
  usage_context: harmless,
  ...Object.fromEntries(STRIPPED.map((name) => [name, harmless])),
};

const GENERATION: Table = {
  ...BOOKKEEPING,
  stream: takes(isBoolean, 'pass', 'a boolean'),
  stream_options: takes(
    (v) =>
      isObject(v) && (v['include_usage'] === undefined || v['include_usage'] === null || isBoolean(v['include_usage'])),
    'drop',
    'an object whose include_usage is a boolean',
  ),
  max_tokens: count,
  temperature: takes(within(0, 2), 'pass', 'a number from 0 to 2'),
  top_p: takes(within(0, 1), 'pass', 'a number from 0 to 1'),
  frequency_penalty: penalty,
  presence_penalty: penalty,
  stop: takes(isStop, 'pass', 'a string or at most 4 strings'),
  seed: takes(Number.isSafeInteger, 'pass', 'a whole number'),
  logit_bias: takes(
    (v) => isObject(v) && Object.keys(v).length <= BIASES_MAX && Object.values(v).every(within(-100, 100)),
    'pass',
    `an object of at most ${BIASES_MAX} numbers from -100 to 100`,
  ),
  n: single,
};

const withTools =
  (fallback: Rule): Rule =>
  (v, capabilities) =>
    capabilities.tools ? 'pass' : fallback(v, capabilities);
const noElements: Rule = (v) =>
  Array.isArray(v) ? (v.length === 0 ? 'drop' : 'unsupported') : { expects: 'an array' };

const CHAT: Table = {
  ...GENERATION,
  messages: (v, capabilities) => checkMessages(v, capabilities),
  max_completion_tokens: count,
  tools: (v, capabilities) =>
    capabilities.tools && Array.isArray(v) && v.length > 0 ? 'pass' : noElements(v, capabilities),
  tool_choice: withTools(off('none')),
  parallel_tool_calls: withTools(harmless),
  functions: noElements,
  function_call: off('none'),
  response_format: (v, capabilities) => {
    if (!isObject(v) || !isString(v['type'])) return { expects: 'an object with a type' };
    return v['type'] === 'text' ? 'drop' : capabilities.structuredOutput ? 'pass' : 'unsupported';
  },
  logprobs: off(false),
  top_logprobs: off(0),
  modalities: (v) => (Array.isArray(v) && v.every((one) => one === 'text') ? 'drop' : 'unsupported'),
  audio: off(),
  prediction: off(),
  reasoning_effort: off('none'),
  verbosity: off('medium'),
  web_search_options: off(),
  moderation: off(),
  thinking: (v) => (isObject(v) && v['type'] !== 'enabled' ? 'drop' : 'unsupported'),
};

const COMPLETION: Table = {
  ...GENERATION,
  prompt: takes(isInput, 'pass', 'a string, strings, token ids or arrays of token ids, none of them empty'),
  best_of: single,
  echo: off(false),
  suffix: off(''),
  logprobs: off(),
};

const EMBEDDING: Table = {
  ...BOOKKEEPING,
  input: takes(isInput, 'pass', 'a string, strings, token ids or arrays of token ids, none of them empty'),
  encoding_format: takes((v) => v === 'float' || v === 'base64', 'pass', '"float" or "base64"'),
  dimensions: count,
};

const TABLES: Readonly<Record<InferenceKind, Table>> = { chat: CHAT, completion: COMPLETION, embedding: EMBEDDING };
const REQUIRED: Readonly<Record<InferenceKind, string>> = {
  chat: 'messages',
  completion: 'prompt',
  embedding: 'input',
};

export interface CheckOptions {
  readonly capabilities: ModelCapabilities;
  /** Extra fields that every engine behind this served model knows. */
  readonly extras: ReadonlySet<string>;
  readonly knownFields: (dialect: EngineDialect) => ReadonlySet<string>;
}

export interface Checked {
  /** What goes to the engine. */
  readonly body: Body;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** null when the request does not say. */
  readonly maxTokens: number | null;
}

/** Holds a request's parameters against the table. Throws `invalid_request` or `unsupported_feature`. */
export function check(kind: InferenceKind, body: Body, options: CheckOptions): Checked {
  if (!options.capabilities[kind]) {
    throw new CubitError('unsupported_feature', `This endpoint's model does not do ${kind} requests.`);
  }
  const required = REQUIRED[kind];
  if (body[required] === undefined) throw wrong(required, 'is missing');
  const passed = sift(kind, body, options);
  if (kind === 'embedding') return { body: passed, stream: false, includeUsage: false, maxTokens: null };
  if (kind === 'chat') passed['messages'] = normalisedMessages(passed['messages'] as readonly Body[]);
  const maxTokens = (passed['max_completion_tokens'] ?? passed['max_tokens'] ?? null) as number | null;
  delete passed['max_completion_tokens'];
  if (maxTokens !== null) passed['max_tokens'] = maxTokens;
  const streamOptions = body['stream_options'] as Body | undefined;
  const includeUsage = streamOptions?.['include_usage'] === true;
  return { body: passed, stream: body['stream'] === true, includeUsage, maxTokens };
}

/** As it goes to somebody else's server: with a bound on its answer, since every token of it is paid. */
export function bounded(checked: Checked, upstream: { readonly outputTokensMax: number } | undefined): Checked {
  if (upstream === undefined || checked.maxTokens !== null) return checked;
  const maxTokens = upstream.outputTokensMax;
  return { ...checked, maxTokens, body: { ...checked.body, max_tokens: maxTokens } };
}

function sift(kind: InferenceKind, body: Body, options: CheckOptions): Record<string, unknown> {
  const table = TABLES[kind];
  const passed: Record<string, unknown> = {};
  const unsupported: string[] = [];
  const unknown: string[] = [];
  for (const name of Object.keys(body)) {
    const value = body[name];
    const rule = Object.hasOwn(table, name) ? table[name] : undefined;
    if (rule === undefined) {
      if (options.extras.has(name)) passed[name] = value;
      else if (DIALECTS.some((dialect) => options.knownFields(dialect).has(name))) unsupported.push(name);
      else unknown.push(name);
      continue;
    }
    const fate = rule(value, options.capabilities);
    if (fate === 'pass') passed[name] = value;
    else if (fate === 'unsupported') unsupported.push(name);
    else if (fate !== 'drop') throw wrong(name, `has to be ${fate.expects}`);
  }
  if (unknown.length > 0) {
    const params = shown(unknown);
    const message = `Not known: ${params.join(', ')}. Check the spelling, or leave it out.`;
    throw new CubitError('invalid_request', message, { details: { param: params[0], params } });
  }
  if (unsupported.length > 0) {
    const params = shown(unsupported);
    const message = `This endpoint cannot honour: ${params.join(', ')}. Leave it out.`;
    throw new CubitError('unsupported_feature', message, { details: { param: params[0], params } });
  }
  return passed;
}

/** Names as an error gives them back: not by the megabyte. */
function shown(names: readonly string[]): string[] {
  return names.slice(0, 20).map((name) => name.slice(0, 64));
}

function wrong(param: string, what: string): CubitError {
  return new CubitError('invalid_request', `"${param}" ${what}.`, { details: { param } });
}
