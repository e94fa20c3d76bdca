import type { EngineDialect, EngineRequest, InferenceKind } from '../port.ts';
import { DIALECTS } from './dialects.ts';

export const PATHS: Readonly<Record<InferenceKind, string>> = {
  chat: '/chat/completions',
  completion: '/completions',
  embedding: '/embeddings',
};

const INTERNAL: ReadonlySet<string> = new Set(['kv_transfer_params', 'cache_salt', 'lora_path']);

/** Fields by which engines talk to each other. A client that sets them can read others' caches or stop an engine. */
function isInternal(field: string): boolean {
  return INTERNAL.has(field) || field.startsWith('bootstrap_');
}

/** The body as it goes to the server: its own model name, usage asked for on streams, the salt where it takes one. */
export function upstreamBody(request: EngineRequest, model: string, dialect: EngineDialect): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(request.body)) {
    if (!isInternal(field)) body[field] = value;
  }
  Object.assign(body, request.transfer);
  const { adapter } = request;
  const { adapters } = DIALECTS[dialect];
  body['model'] = adapter !== undefined && adapters?.named === 'model' ? adapter : model;
  if (adapter !== undefined && adapters?.named === 'lora_path') body['lora_path'] = adapter;
  if (body['stream'] === true && request.kind !== 'embedding') {
    body['stream_options'] = { ...(body['stream_options'] as object | null | undefined), include_usage: true };
  }
  if (DIALECTS[dialect].salt === 'body' && request.kind !== 'embedding') body['cache_salt'] = request.cacheSalt;
  return body;
}
