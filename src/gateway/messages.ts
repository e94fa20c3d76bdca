import { PREFIX_ENDS } from '../core/serving/routing.ts';
import type { InferenceKind } from '../engine/port.ts';
import type { Body } from './parse.ts';
import type { ModelCapabilities } from './snapshot.ts';

/** Shapes of prompts, and what is measured of them for the estimate. Text is never kept. */
const PROMPTS_MAX = 2_048;
const LINE_FEED = 10;

type Fields = Readonly<Record<string, unknown>>;
type MessagesFate = 'pass' | 'unsupported' | { readonly expects: string };

const isFields = (v: unknown): v is Fields => typeof v === 'object' && v !== null && !Array.isArray(v);
const isSet = (v: unknown) => v !== undefined && v !== null;
const isTokens = (v: unknown): v is number[] =>
  Array.isArray(v) && v.length > 0 && v.every((token) => Number.isSafeInteger(token) && token >= 0);

/** A prompt or embedding input: a string, strings, token ids, or arrays of token ids; none empty. */
export function isInput(value: unknown): boolean {
  if (typeof value === 'string') return value !== '';
  if (!Array.isArray(value) || value.length === 0) return false;
  if (typeof value[0] === 'number') return isTokens(value);
  if (value.length > PROMPTS_MAX) return false;
  return value.every((one) => typeof one === 'string' && one !== '') || value.every(isTokens);
}

/** Chat messages: roles, text contents (also in parts); tool messages only where the model does tools. */
export function checkMessages(value: unknown, capabilities: ModelCapabilities): MessagesFate {
  if (!Array.isArray(value) || value.length === 0) return { expects: 'an array of at least one message' };
  let unsupported = false;
  for (const message of value) {
    if (!isFields(message)) return { expects: 'an array of objects with role and content' };
    const fate = checkMessage(message, capabilities);
    if (typeof fate === 'object') return fate;
    unsupported ||= fate === 'unsupported';
  }
  return unsupported ? 'unsupported' : 'pass';
}

function checkMessage(message: Fields, capabilities: ModelCapabilities): MessagesFate {
  const role = message['role'];
  const calls = isSet(message['tool_calls']) || isSet(message['function_call']);
  if (role === 'tool' || role === 'function' || calls) return capabilities.tools ? 'pass' : 'unsupported';
  if (role !== 'system' && role !== 'developer' && role !== 'user' && role !== 'assistant') {
    return { expects: 'messages whose role is system, developer, user, assistant or tool' };
  }
  const content = message['content'];
  if (typeof content === 'string') return 'pass';
  if (!Array.isArray(content) || content.length === 0)
    return { expects: 'messages whose content is text or text parts' };
  for (const part of content) {
    if (!isFields(part) || typeof part['type'] !== 'string') return { expects: 'content parts with a type' };
    if (part['type'] !== 'text') return 'unsupported';
    if (typeof part['text'] !== 'string') return { expects: 'text parts with a text' };
  }
  return 'pass';
}

/**
 * Messages as engines want them: `developer` is what OpenAI now calls `system` and chat templates know only the old name;
 * fields that an SDK sent as null are absent.
 */
export function normalisedMessages(messages: readonly Fields[]): readonly Fields[] {
  return messages.map((message) => {
    const plain = message['role'] !== 'developer' && !Object.values(message).includes(null);
    if (plain) return message;
    const fields = Object.entries(message).filter(([name, value]) => value !== null || name === 'content');
    const copy: Record<string, unknown> = Object.fromEntries(fields);
    if (copy['role'] === 'developer') copy['role'] = 'system';
    return copy;
  });
}

export interface PromptMeasure {
  /** UTF-8 bytes of all text. */
  readonly bytes: number;
  readonly messages: number;
  /** Answers it will have: 1, or one per prompt of a batch. */
  readonly sequences: number;
  /** Exact, when the prompt came as token ids. */
  readonly tokens: number | null;
}

/** Of a checked body. */
export function measure(kind: InferenceKind, body: Body): PromptMeasure {
  if (kind === 'chat') {
    const messages = body['messages'] as readonly Fields[];
    let bytes = body['tools'] === undefined ? 0 : Buffer.byteLength(JSON.stringify(body['tools']));
    for (const text of textsOf(kind, body)) bytes += Buffer.byteLength(text);
    return { bytes, messages: messages.length, sequences: 1, tokens: null };
  }
  const input = body[kind === 'completion' ? 'prompt' : 'input'];
  if (typeof input === 'string') return { bytes: Buffer.byteLength(input), messages: 0, sequences: 1, tokens: null };
  const list = input as readonly unknown[];
  if (typeof list[0] === 'number') return { bytes: 0, messages: 0, sequences: 1, tokens: list.length };
  if (typeof list[0] === 'string') {
    const bytes = (list as readonly string[]).reduce((sum, text) => sum + Buffer.byteLength(text), 0);
    return { bytes, messages: 0, sequences: list.length, tokens: null };
  }
  const tokens = (list as readonly number[][]).reduce((sum, one) => sum + one.length, 0);
  return { bytes: 0, messages: 0, sequences: list.length, tokens };
}

/** What every prompt is written into to be hashed: memory of its own for each would cost more than the hash. */
const PREFIX = Buffer.allocUnsafeSlow(PREFIX_ENDS.at(-1) as number);

/**
 * The beginning of the prompt as bytes, for prefix affinity, with its tenant before it: an engine's cache serves a prefix
 * to its own tenant only. Valid until the next call.
 */
export function prefixOf(tenantId: string, kind: InferenceKind, body: Body): Uint8Array {
  let end = PREFIX.write(`${tenantId} `);
  for (const text of textsOf(kind, body)) {
    end += PREFIX.write(text, end);
    // Less than a character's room: the rest is beyond the last block.
    if (end > PREFIX.length - 4) break;
    PREFIX[end] = LINE_FEED;
    end += 1;
  }
  return PREFIX.subarray(0, end);
}

function* textsOf(kind: InferenceKind, body: Body): Generator<string> {
  if (kind !== 'chat') {
    const input = body[kind === 'completion' ? 'prompt' : 'input'];
    for (const one of Array.isArray(input) ? input : [input]) if (typeof one === 'string') yield one;
    return;
  }
  for (const { content } of body['messages'] as readonly { content?: unknown }[]) {
    if (typeof content === 'string') yield content;
    else if (Array.isArray(content)) for (const part of content) yield String((part as Fields)['text'] ?? '');
  }
}
