import type { MinuteLimits } from '../core/serving/rate-limit.ts';
import type { WorkCoefficients } from '../core/serving/work.ts';
import type { EngineAddress } from '../engine/port.ts';
import type { ReplicaState, Role } from '../fleet/port.ts';
import type { OverflowSnapshot, UpstreamSnapshot } from './overflow-snapshot.ts';

/**
 * What the control plane publishes and the gateway works from: no database call on the token path. Plain data.
 */
export interface GatewaySnapshot {
  readonly version: number;
  /** By SHA-256 of the key, hex. Revoked keys are absent. */
  readonly keys: ReadonlyMap<string, KeySnapshot>;
  /** By `endpointKey(tenantId, name)` and `endpointKey(tenantId, id)`. */
  readonly endpoints: ReadonlyMap<string, EndpointSnapshot>;
}

export interface KeySnapshot {
  readonly keyId: string;
  readonly tenantId: string;
}

export interface EndpointSnapshot {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** What a request waits at most when it does not say (`x-cubit-max-wait-ms`); 0 = never. */
  readonly maxWaitMs: number;
  /** Share of each sums to 100. */
  readonly servedModels: readonly ServedModelSnapshot[];
  /** Paid by the token: what its tenant may send a minute, over all endpoints of the same key. */
  readonly rateLimit?: MinuteLimits & { readonly key: string };
  /** Paid by the token, and not paid for: it serves nothing. */
  readonly suspended?: boolean;
  readonly overflow?: OverflowSnapshot;
  /** It is somebody else's server, which requests only spill to. */
  readonly upstream?: UpstreamSnapshot;
}

export interface ServedModelSnapshot {
  /** Several tenants' endpoints name this one: a pool that is paid by the token. */
  readonly shared?: boolean;
  readonly servedModelId: string;
  readonly modelId: string;
  readonly trafficPercent: number;
  readonly contextTokens: number;
  /** What the model's chat template adds to a prompt once; absent: not known. */
  readonly chatTemplateTokens?: number | undefined;
  readonly capabilities: ModelCapabilities;
  readonly coefficients: WorkCoefficients;
  /** Sequences a unit decodes together at this tier (B*). */
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  /** Prefill and decode on machines of their own: each has its own bucket. */
  readonly disaggregated: boolean;
  /** Learned or catalogued time from start to ready, for the ETA. */
  readonly startupMs: number;
  /** Units bought and not ended, with what scaling may add. */
  readonly unitsMax: number;
  readonly replicas: readonly ReplicaSnapshot[];
}

export interface ModelCapabilities {
  readonly chat: boolean;
  readonly completion: boolean;
  readonly embedding: boolean;
  readonly structuredOutput: boolean;
  readonly tools: boolean;
}

/** One machine of a unit: the whole of it (`unified`), or its part for prefill or decode. */
export interface ReplicaSnapshot {
  readonly replicaId: string;
  readonly role: Role;
  readonly state: ReplicaState;
  readonly address: EngineAddress | null;
  readonly startedAtMs: number;
}

export const EMPTY_SNAPSHOT: GatewaySnapshot = { version: 0, keys: new Map(), endpoints: new Map() };

export function endpointKey(tenantId: string, nameOrId: string): string {
  return `${tenantId}/${nameOrId}`;
}
