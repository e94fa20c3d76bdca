import { CubitError } from '../../core/errors.ts';
import type { EngineDialect, EngineRequest } from '../port.ts';
import type { HttpClient } from './client.ts';
import { upstreamError } from './errors.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Exact prompt tokens, asked of the server's own tokenizer: `/v1/tokenize` of a Cubit worker, `/tokenize` of vLLM (text
 * and chat) and SGLang (text only), `/apply-template` and `/tokenize` of llama-server. null where there is none.
 * Throws what the server refuses (`context_length_exceeded`, `invalid_request`) and `engine_*`.
 */
export async function countTokens(
  client: HttpClient,
  dialect: EngineDialect,
  model: string,
  request: EngineRequest,
  signal: AbortSignal,
): Promise<number | null> {
  const ask = (path: string, body: object) => askJson(client, path, body, signal);
  const { apiPath, rootPath } = client.transport;
  if (dialect === 'cubit') return count(await ask(`${apiPath}/tokenize`, request.body));

  const messages = request.kind === 'chat' ? request.body['messages'] : undefined;
  const prompt = request.kind === 'chat' ? undefined : request.body[request.kind === 'completion' ? 'prompt' : 'input'];
  if (isTokenIds(prompt)) return prompt.length;
  if (messages === undefined && typeof prompt !== 'string') return null;

  if (dialect === 'vllm') {
    return count(await ask(`${rootPath}/tokenize`, messages === undefined ? { model, prompt } : { model, messages }));
  }
  if (dialect === 'sglang') {
    return messages === undefined ? count(await ask(`${rootPath}/tokenize`, { model, prompt })) : null;
  }
  if (dialect === 'llama-server') {
    const content =
      messages === undefined ? prompt : (await ask(`${rootPath}/apply-template`, { messages }))?.['prompt'];
    if (typeof content !== 'string') return null;
    const answer = await ask(`${rootPath}/tokenize`, { content, add_special: true, parse_special: true });
    const tokens = answer?.['tokens'];
    return Array.isArray(tokens) ? tokens.length : null;
  }
  return null;
}

async function askJson(client: HttpClient, path: string, body: object, signal: AbortSignal): Promise<Fields | null> {
  const { status, text } = await client.probe('POST', path, signal, body);
  if (status === 404 || status === 405 || status === 501) return null;
  if (status !== 200) throw upstreamError(status, text);
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? (answer as Fields) : null;
  } catch {
    throw new CubitError('engine_failed', "The engine's tokenizer did not answer with JSON.");
  }
}

function count(answer: Fields | null): number | null {
  const value = answer?.['count'];
  return typeof value === 'number' ? value : null;
}

function isTokenIds(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.length > 0 && value.every((id) => typeof id === 'number');
}
