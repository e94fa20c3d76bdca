import type { Receipt } from '../core/commerce/metering.ts';
import type { CubitError, ErrorCode } from '../core/errors.ts';
import type { Outcome } from '../core/serving/outcome.ts';
import type { OutputLengths } from '../core/serving/output-lengths.ts';
import { NO_WORK } from '../core/serving/work.ts';
import type { Estimated } from './estimate.ts';
import { workOfAll } from './estimate.ts';
import type { Exchange } from './exchange.ts';

const OUTCOME_OF = {
  invalid_json: 'rejected_input',
  invalid_request: 'rejected_input',
  unsupported_feature: 'rejected_input',
  context_length_exceeded: 'rejected_input',
  body_too_large: 'rejected_input',
  body_timeout: 'rejected_input',
  not_found: 'rejected_input',
  method_not_allowed: 'rejected_input',
  conflict: 'rejected_input',
  idempotency_conflict: 'rejected_input',
  invalid_transition: 'rejected_input',
  model_not_found: 'rejected_identity',
  invalid_api_key: 'rejected_identity',
  forbidden: 'rejected_identity',
  access_required: 'rejected_identity',
  payment_required: 'rejected_identity',
  quote_changed: 'rejected_input',
  quota_exceeded: 'rejected_capacity',
  agreement_required: 'rejected_input',
  model_units_exhausted: 'rejected_capacity',
  rate_limit_exceeded: 'rejected_capacity',
  capacity_exhausted: 'rejected_unready',
  endpoint_scaling_up: 'rejected_unready',
  shutting_down: 'rejected_unready',
  client_closed: 'cancelled',
  engine_unavailable: 'failed',
  engine_failed: 'failed',
  engine_timeout: 'failed',
  config_invalid: 'failed',
  port_in_use: 'failed',
  data_folder_locked: 'failed',
  disk_full: 'failed',
  weights_unavailable: 'failed',
  internal: 'failed',
} as const satisfies Record<ErrorCode, Outcome>;

/** The one outcome of a request that ended with an error. */
export function outcomeOf(exchange: Exchange, error: CubitError): Outcome {
  const outcome = OUTCOME_OF[error.code];
  if (outcome === 'cancelled') return outcome;
  if (exchange.answered) return 'interrupted';
  return exchange.expired ? 'expired' : outcome;
}

/**
 * What a request that ended early took. Failures cost nothing; a client that leaves after its request was sent pays for
 * the prefill that ran, and any stream for the tokens that it had brought.
 */
export function accountEarlyEnd(exchange: Exchange, estimated: Estimated | null): void {
  if (exchange.actual !== NO_WORK || estimated === null || exchange.served === null) return;
  const hasLeft = exchange.outcome === 'cancelled' && exchange.sentMs !== null;
  if ((exchange.stream === null || exchange.unanswered) && !hasLeft) return;
  exchange.tokens = { ...estimated.tokens, outputTokens: exchange.streamedTokens };
  exchange.actual = workOfAll(estimated.coefficients, exchange.tokens, estimated.sequences);
}

/** Learns from a whole answer; nothing else says how long answers are. */
export function learn(exchange: Exchange, estimated: Estimated, lengths: OutputLengths): void {
  const { endpoint, key, served } = exchange;
  if (!exchange.tokensStated || endpoint === null || key === null || served === null) return;
  const { promptTokens, outputTokens } = exchange.tokens;
  const { bytes, messages, sequences } = estimated.prompt;
  served.prompts.observe(bytes, messages, promptTokens);
  if (exchange.outcome !== 'completed' || exchange.kind === 'embedding') return;
  const maxEach = estimated.outputTokensMax / sequences;
  lengths.observe(endpoint.endpointId, key.keyId, Math.round(outputTokens / sequences), maxEach);
}

/** null without a key: nobody to receive it. */
export function receiptFor(exchange: Exchange, endedAtMs: number): Receipt | null {
  const { key } = exchange;
  if (key === null) return null;
  return {
    requestId: exchange.requestId,
    tenantId: key.tenantId,
    keyId: key.keyId,
    ...placeOf(exchange),
    adapterId: exchange.adapter?.adapterId ?? null,
    kind: exchange.kind,
    outcome: exchange.outcome,
    cause: exchange.cause,
    ...exchange.tokens,
    spill: spillOf(exchange),
    estimated: exchange.estimate?.work ?? NO_WORK,
    actual: exchange.actual,
    receivedAtMs: exchange.receivedAtMs,
    endedAtMs,
    waitMs: toMicroseconds(exchange.waitMs),
    ttftMs: exchange.ttftMs === null ? null : toMicroseconds(exchange.ttftMs),
    tpotMs: exchange.tpotMs === null ? null : toMicroseconds(exchange.tpotMs),
  };
}

/** Somebody else's server is no endpoint: its requests stand at the endpoint that they overflowed from. */
function placeOf({ endpoint, served, replicaId, spill }: Exchange) {
  if (endpoint?.upstream !== undefined) {
    return { endpointId: spill?.fromEndpointId ?? null, servedModelId: null, replicaId: null };
  }
  const servedModelId = served?.snapshot.servedModelId ?? null;
  return { endpointId: endpoint?.endpointId ?? null, servedModelId, replicaId };
}

function spillOf({ spill }: Exchange): Receipt['spill'] {
  if (spill === null) return null;
  const { fromEndpointId, targetId, reason, costMicros } = spill;
  return { fromEndpointId, targetId, reason, costMicros };
}

/** Milliseconds to three places: the rest is noise of the clock and of floating point. */
function toMicroseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
