import type { TokenCounts } from '../core/serving/work.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What an engine states in `usage`; null when it is missing or is no usage. Counts never exceed what JSON numbers hold. */
export function usageOf(document: Fields): TokenCounts | null {
  const usage = document['usage'];
  if (!isFields(usage)) return null;
  const promptTokens = countOf(usage['prompt_tokens']);
  if (promptTokens === null) return null;
  const outputTokens = countOf(usage['completion_tokens']) ?? 0;
  const details = usage['prompt_tokens_details'];
  const cachedTokens = isFields(details) ? (countOf(details['cached_tokens']) ?? 0) : 0;
  return { promptTokens, cachedTokens: Math.min(cachedTokens, promptTokens), outputTokens };
}

/** OpenAI's usage of counted tokens, for engines that state none. */
export function usageFrom(tokens: TokenCounts): Record<string, unknown> {
  return {
    prompt_tokens: tokens.promptTokens,
    completion_tokens: tokens.outputTokens,
    total_tokens: tokens.promptTokens + tokens.outputTokens,
    prompt_tokens_details: { cached_tokens: tokens.cachedTokens },
  };
}

/** The engine's own usage; of a pair of machines, with what was cached where the prompt was evaluated. */
export function statedUsage(
  usage: Fields,
  { prefillCachedTokens }: { readonly prefillCachedTokens: number | null },
): Fields {
  if (prefillCachedTokens === null) return usage;
  const details = isFields(usage['prompt_tokens_details']) ? usage['prompt_tokens_details'] : {};
  return { ...usage, prompt_tokens_details: { ...details, cached_tokens: prefillCachedTokens } };
}

/** Whether a stream's chunk carries anything that a client would show or act on. */
export function hasContent(chunk: Fields): boolean {
  const choices = chunk['choices'];
  if (!Array.isArray(choices)) return false;
  return choices.some((choice: unknown) => {
    if (!isFields(choice)) return false;
    const delta = isFields(choice['delta']) ? choice['delta'] : choice;
    return ['content', 'text', 'reasoning_content', 'reasoning', 'refusal', 'tool_calls'].some((name) => {
      const value = delta[name];
      return (typeof value === 'string' || Array.isArray(value)) && value.length > 0;
    });
  });
}

/** The first choice's, for the receipt; null when it has none. */
export function finishReasonOf(document: Fields): string | null {
  const choices = document['choices'];
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  const reason = isFields(first) ? first['finish_reason'] : undefined;
  return typeof reason === 'string' ? reason : null;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function countOf(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= 1e9 ? value : null;
}
