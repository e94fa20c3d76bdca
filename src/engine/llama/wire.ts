import type { FinishReason, TokenUsage } from './generation.ts';

/** The parts of OpenAI's answers that stay the same through one answer. */
export interface AnswerHead {
  readonly kind: 'chat' | 'completion';
  readonly id: string;
  readonly createdS: number;
  readonly model: string;
}

export function usageJson(usage: TokenUsage) {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.outputTokens,
    total_tokens: usage.promptTokens + usage.outputTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedTokens },
  };
}

/** What is new in a chunk: the role, some text, or the end. */
export type ChunkPart = { readonly role: true } | { readonly text: string } | { readonly finish: FinishReason };

/** One server-sent event of a stream. `usage` only where it was asked for. */
export function chunkEvent(head: AnswerHead, part: ChunkPart, usage: TokenUsage | null): string {
  return event(head, [choice(head, part)], usage);
}

/** The last event with data: no choices, the whole usage. */
export function usageEvent(head: AnswerHead, usage: TokenUsage): string {
  return event(head, [], usage);
}

export const DONE_EVENT = 'data: [DONE]\n\n';

export function errorEvent(body: object): string {
  return `data: ${JSON.stringify(body)}\n\n`;
}

/** The whole answer as one document. */
export function answerJson(head: AnswerHead, text: string, finish: FinishReason, usage: TokenUsage) {
  const common = { index: 0, finish_reason: finish, logprobs: null };
  const choices =
    head.kind === 'chat'
      ? [{ ...common, message: { role: 'assistant', content: text, refusal: null } }]
      : [{ ...common, text }];
  return { ...envelope(head, ''), choices, usage: usageJson(usage) };
}

function event(head: AnswerHead, choices: readonly object[], usage: TokenUsage | null): string {
  const body = { ...envelope(head, '.chunk'), choices, ...(usage === null ? {} : { usage: usageJson(usage) }) };
  return `data: ${JSON.stringify(body)}\n\n`;
}

function envelope(head: AnswerHead, chunk: '' | '.chunk') {
  const object = head.kind === 'chat' ? `chat.completion${chunk}` : 'text_completion';
  return { id: head.id, object, created: head.createdS, model: head.model };
}

function choice(head: AnswerHead, part: ChunkPart) {
  const text = 'text' in part ? part.text : '';
  const finish_reason = 'finish' in part ? part.finish : null;
  if (head.kind === 'completion') return { index: 0, text, logprobs: null, finish_reason };
  const delta = 'role' in part ? { role: 'assistant', content: '' } : 'text' in part ? { content: text } : {};
  return { index: 0, delta, logprobs: null, finish_reason };
}
