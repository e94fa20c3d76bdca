import { randomUUID } from 'node:crypto';
import { CubitError } from '../core/errors.ts';
import type { Engine, EngineRequest } from '../engine/port.ts';

const WARM_UP_MS_MAX = 60_000;
const TEXT = 'Hello';

/** The most usual first: a model without a chat template or one for embeddings refuses the others. */
const WAYS: readonly Pick<EngineRequest, 'kind' | 'body'>[] = [
  { kind: 'chat', body: { messages: [{ role: 'user', content: TEXT }], max_tokens: 1, stream: false } },
  { kind: 'completion', body: { prompt: TEXT, max_tokens: 1, stream: false } },
  { kind: 'embedding', body: { input: TEXT } },
];

/**
 * Asks a server one short request before anyone relies on it: that it says it is well proves neither that its model is
 * loaded nor that it answers. Resolves with the ms it took. Throws CubitError `engine_*` or what the server refuses a
 * plain request with; `engine_timeout` after a minute.
 */
export async function warmUpMs(engine: Engine, msMax = WARM_UP_MS_MAX): Promise<number> {
  const limit = new AbortController();
  const late = new CubitError('engine_timeout', `no answer within ${Math.round(msMax / 1_000)} s`);
  const timer = setTimeout(() => limit.abort(late), msMax);
  const startedMs = performance.now();
  let refusal: unknown = null;
  try {
    for (const way of WAYS) {
      try {
        await answered(engine, way, limit.signal);
        return performance.now() - startedMs;
      } catch (error) {
        if (limit.signal.aborted || isDown(error)) throw error;
        refusal ??= error;
      }
    }
  } finally {
    clearTimeout(timer);
  }
  throw refusal;
}

async function answered(engine: Engine, way: (typeof WAYS)[number], signal: AbortSignal): Promise<void> {
  const name = `warm-up-${randomUUID()}`;
  const reply = await engine.send({ ...way, requestId: name, cacheSalt: name }, signal);
  for await (const _ of reply.bytes);
}

/** Asking in another way would change nothing. */
function isDown(error: unknown): boolean {
  return error instanceof CubitError && (error.code === 'engine_unavailable' || error.code === 'engine_timeout');
}

/** Why a server is not ready, for people. */
export function warmUpFailure(error: unknown): string {
  const why = error instanceof Error ? error.message : String(error);
  return `it says it is well and does not answer a first request: ${why}`;
}
