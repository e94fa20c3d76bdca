import { DEFAULT_QUEUE_LIMITS, type QueueLimits } from '../core/serving/queue.ts';
import type { UtilizationLimits } from '../core/serving/utilization.ts';

/** Bounds of everything a client or an engine can make this process hold or wait for. */
export interface GatewayLimits {
  readonly bodyBytesMax: number;
  /** Of all requests on their way together; one more is refused while they hold as much. */
  readonly bodiesBytesMax: number;
  /** From the first header to the last byte of a request's body. */
  readonly bodyMsMax: number;
  /** Of an answer that is not a stream. */
  readonly answerBytesMax: number;
  /** From sending to the engine until the whole answer that is not a stream. */
  readonly answerMsMax: number;
  /** From sending to the engine until the first token of a stream. */
  readonly firstTokenMsMax: number;
  /** Between two events of a stream: an engine that died silently is found by this. */
  readonly chunkMsMax: number;
  /** Of one event of a stream. */
  readonly frameBytesMax: number;
  /** How long a client may not read while an answer waits for it. */
  readonly clientStallMsMax: number;
  /** What `x-cubit-max-wait-ms` may ask for. */
  readonly waitMsMax: number;
  /** Without a byte of an answer for so long, a request is sent to a second replica too; null = never. */
  readonly hedgeAfterMs: number | null;
  /** When an endpoint is told that it is nearly full. */
  readonly warning: UtilizationLimits;
  /** Of each served model. */
  readonly queue: QueueLimits;
}

export const DEFAULT_LIMITS: GatewayLimits = {
  bodyBytesMax: 8 * 1024 * 1024,
  bodiesBytesMax: 256 * 1024 * 1024,
  bodyMsMax: 30_000,
  answerBytesMax: 64 * 1024 * 1024,
  answerMsMax: 600_000,
  firstTokenMsMax: 120_000,
  chunkMsMax: 60_000,
  frameBytesMax: 1024 * 1024,
  clientStallMsMax: 60_000,
  waitMsMax: 600_000,
  hedgeAfterMs: null,
  warning: { highShare: 0.8, sustainMs: 60_000 },
  queue: DEFAULT_QUEUE_LIMITS,
};

/** What of them is configured. */
export function configuredLimits(config: {
  readonly bodyBytesMax: number;
  readonly hedgeAfterMs: number | null;
  readonly warnPercent: number;
  readonly warnAfterMs: number;
}): Partial<GatewayLimits> {
  const { bodyBytesMax, hedgeAfterMs, warnPercent, warnAfterMs } = config;
  return { bodyBytesMax, hedgeAfterMs, warning: { highShare: warnPercent / 100, sustainMs: warnAfterMs } };
}
