import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { totalUs } from '../core/serving/work.ts';
import { type Estimated, workOfAll } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import type { GatewayLimits } from './limits.ts';
import type { ServedModel } from './served.ts';
import type { Watchdog } from './watchdog.ts';

/** What both kinds of answer need of the steps before. */
export interface Delivery {
  readonly exchange: Exchange;
  readonly served: ServedModel;
  readonly keyId: string;
  readonly estimated: Estimated;
  readonly includeUsage: boolean;
  readonly limits: GatewayLimits;
  readonly monotonicMs: () => number;
}

/** The receipt's short form in response headers. */
export function receiptHeaders(exchange: Exchange, estimated: Estimated): OutgoingHttpHeaders {
  return {
    'x-request-id': exchange.requestId,
    'x-cubit-work-estimated-us': totalUs(estimated.work),
    'x-cubit-wait-ms': Math.round(exchange.waitMs),
    'x-cubit-served-model': exchange.served?.snapshot.servedModelId,
    'x-cubit-replica': exchange.replicaId ?? undefined,
    ...(exchange.served !== null && warningHeaders(exchange.served)),
  };
}

/** How full its own units are, and whether that has been too much for long; of a pool it is not one tenant's to know. */
function warningHeaders({ snapshot, utilization }: ServedModel): OutgoingHttpHeaders {
  if (snapshot.shared === true) return {};
  return {
    'x-cubit-utilization': utilization.latest.toFixed(2),
    ...(utilization.isHigh && { 'x-cubit-warning': 'utilization is high for long: add units or slow down' }),
  };
}

/**
 * The receipt as `usage.cubit`. It always stands in the answer's `usage`: of the JSON document, or of a stream's last
 * chunk before `[DONE]`. That chunk is the usage chunk (`choices: []`) when the client asked for one with
 * `stream_options.include_usage`; otherwise it is the chunk with the finish reason, so that clients that read
 * `choices[0]` of every chunk never meet one without. The official SDKs keep fields that they do not know.
 */
export function receiptOf({ exchange, served, estimated }: Delivery): Record<string, unknown> {
  return {
    request_id: exchange.requestId,
    served_model: served.snapshot.servedModelId,
    ...(exchange.adapter === null ? {} : { adapter: exchange.adapter.adapterId }),
    replica: exchange.replicaId,
    estimated: { prefill_us: estimated.work.prefillUs, decode_us: estimated.work.decodeUs },
    actual: { prefill_us: exchange.actual.prefillUs, decode_us: exchange.actual.decodeUs },
    ...(exchange.spill !== null && { spill: { target: exchange.spill.targetId, reason: exchange.spill.reason } }),
    wait_ms: Math.round(exchange.waitMs),
    ttft_ms: exchange.ttftMs === null ? null : Math.round(exchange.ttftMs),
  };
}

/** Writes down what the answer took: as the engine states it, or as estimated and counted. */
export function account(delivery: Delivery, tokens: Exchange['tokens'], stated: boolean): void {
  const { exchange, estimated } = delivery;
  // To a decode machine all of the prompt is cached; what prefill cost is the prefill machine's to say.
  const { prefillCachedTokens } = exchange;
  exchange.tokens = prefillCachedTokens === null ? tokens : { ...tokens, cachedTokens: prefillCachedTokens };
  exchange.tokensStated = stated;
  exchange.actual = workOfAll(estimated.coefficients, exchange.tokens, estimated.sequences);
}

/** Waits until the client has read what was written. Throws what aborts the attempt. */
export function drained(res: ServerResponse, watchdog: Watchdog): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      res.off('drain', onDrain);
      reject(watchdog.reason);
    };
    const onDrain = () => {
      watchdog.removeEventListener('abort', onAbort);
      resolve();
    };
    res.once('drain', onDrain);
    watchdog.addEventListener('abort', onAbort);
  });
}
