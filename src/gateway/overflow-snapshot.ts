/** What happens to a request that an endpoint has no place for. */
export type OverflowPolicy = 'reject' | 'queue' | 'spill';

/** Why a request may spill: 429 of any kind, 503 or an engine that failed before the first byte, a prompt that is too long. */
export const SPILL_REASONS = ['no_capacity', 'not_ready', 'context_too_long'] as const;
export type SpillReason = (typeof SPILL_REASONS)[number];

/** Micro-units of the tenant's currency per million tokens. */
export interface SpillPrice {
  readonly inputMicros: number;
  readonly cachedMicros: number;
  readonly outputMicros: number;
}

export interface SpillTarget {
  /** `ep-…`, `up-…`, or `sm-…` of the endpoint itself: what headers and receipts name. */
  readonly targetId: string;
  /** Where it stands in the snapshot's endpoints. */
  readonly endpointKey: string;
  /** null: units that are paid for anyway. */
  readonly price: SpillPrice | null;
}

export interface OverflowSnapshot {
  readonly policy: OverflowPolicy;
  /** What `x-cubit-overflow` may ask for. */
  readonly allowed: readonly OverflowPolicy[];
  /** What a request waits at most under each policy when it does not say. */
  readonly queueWaitMs: number;
  readonly spillAfterMs: number;
  readonly reasons: readonly SpillReason[];
  /** In the order in which they are tried. */
  readonly targets: readonly SpillTarget[];
  /** Of a period; null: only targets that cost nothing are there. */
  readonly budgetMicros: number | null;
}

/** An OpenAI-compatible server that somebody else is paid for: served like an endpoint, never named by clients. */
export interface UpstreamSnapshot {
  /** What an answer may have when its request does not say, so that its cost has a bound. */
  readonly outputTokensMax: number;
}

/** Never the key of an endpoint that a client can name: those begin with a tenant. */
export function upstreamKey(upstreamId: string): string {
  return `upstream:${upstreamId}`;
}
