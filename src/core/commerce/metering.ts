import type { Outcome } from '../serving/outcome.ts';
import type { Work } from '../serving/work.ts';

/** The receipt (用量凭证, recibo) of one request: estimated and actual work, and who served it. No prompt text. */
export interface Receipt {
  readonly requestId: string;
  readonly tenantId: string;
  readonly keyId: string;
  readonly endpointId: string | null;
  readonly servedModelId: string | null;
  /** The LoRA adapter that answered; null = the model itself. */
  readonly adapterId: string | null;
  readonly replicaId: string | null;
  readonly kind: 'chat' | 'completion' | 'embedding';
  readonly outcome: Outcome;
  /** What exactly happened: an error code or a finish reason. */
  readonly cause: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly outputTokens: number;
  readonly estimated: Work;
  readonly actual: Work;
  /**
   * It went elsewhere: whose overflow it was, where to (`ep-…`, `up-…`), why, and what that cost, micro-units rounded up.
   * `endpointId` names the endpoint that served it; of somebody else's server, the one that it overflowed from.
   */
  readonly spill: {
    readonly fromEndpointId: string;
    readonly targetId: string;
    readonly reason: string;
    readonly costMicros: number;
  } | null;
  readonly receivedAtMs: number;
  readonly endedAtMs: number;
  readonly waitMs: number;
  /** null when no token came. */
  readonly ttftMs: number | null;
  /** null with fewer than two output tokens. */
  readonly tpotMs: number | null;
}
