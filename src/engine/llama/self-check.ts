import { randomUUID } from 'node:crypto';
import type { Engine } from '../port.ts';

/** One short request of fixed lengths, whose time says how fast this machine is at the moment. */
export interface SelfCheckShape {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

export const SELF_CHECK: SelfCheckShape = { promptTokens: 12, outputTokens: 6 };

const REPEATS_MAX = 3;
/** No repeat is begun that would end after this. */
const BUDGET_MS = 900;
const ONE_MS_MAX = 10_000;
/** Token ids that every vocabulary has. */
const FIRST_TOKEN = 300;

/**
 * The time of the check in ms: the least of up to three, since others on the machine only ever add to it. null when the
 * engine did not answer; a check never keeps a replica from serving.
 */
export async function selfCheckMs(
  engine: Engine,
  shape: SelfCheckShape,
  nowMs: () => number = () => performance.now(),
): Promise<number | null> {
  const startedMs = performance.now();
  let leastMs: number | null = null;
  for (let repeat = 0; repeat < REPEATS_MAX; repeat += 1) {
    if (leastMs !== null && performance.now() - startedMs + leastMs > BUDGET_MS) break;
    try {
      const tookMs = await once(engine, shape, nowMs);
      leastMs = leastMs === null ? tookMs : Math.min(leastMs, tookMs);
    } catch {
      break;
    }
  }
  return leastMs;
}

async function once(
  engine: Engine,
  { promptTokens, outputTokens }: SelfCheckShape,
  nowMs: () => number,
): Promise<number> {
  const prompt = Array.from({ length: promptTokens }, (_, index) => FIRST_TOKEN + index);
  const name = `self-check-${randomUUID()}`;
  const body = { prompt, max_tokens: outputTokens, ignore_eos: true, temperature: 0, stream: false };
  const startedMs = nowMs();
  // A salt of its own: the prompt is evaluated, not found in the cache.
  const request = { kind: 'completion', body, requestId: name, cacheSalt: name } as const;
  const reply = await engine.send(request, AbortSignal.timeout(ONE_MS_MAX));
  for await (const _ of reply.bytes);
  return nowMs() - startedMs;
}

const TIME_SCALE_MIN = 0.25;
const TIME_SCALE_MAX = 4;

/** How much longer this machine takes than the one that was profiled; beyond a factor of 4 nothing is believed. */
export function timeScaleOf(measuredMs: number, profiled: { readonly us: number }): number {
  const scale = (measuredMs * 1000) / profiled.us;
  return Math.min(TIME_SCALE_MAX, Math.max(TIME_SCALE_MIN, scale));
}
