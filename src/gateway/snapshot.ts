import type { LatencyGuard } from '../core/serving/latency-guard.ts';
import type { LoraFactor } from '../core/serving/lora.ts';
import type { UseLimits } from '../core/serving/rate-limit.ts';
import type { Share } from '../core/serving/shares.ts';
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
  /** Whose turn its requests take while they wait; absent: a share of its own, of weight 1. */
  readonly share?: Share;
  /** What it may use on all endpoints together; absent: not limited. */
  readonly limits?: UseLimits;
}

export interface EndpointSnapshot {
  readonly endpointId: string;
  readonly tenantId: string;
  readonly name: string;
  readonly createdAtMs: number;
  /** What a request waits at most when it does not say (`x-cubit-max-wait-ms`); 0 = never. */
  readonly maxWaitMs: number;
  /** LoRA adapters that requests name as `endpoint:adapter`. */
  readonly adapters?: readonly AdapterSnapshot[];
  /** Share of each sums to 100. */
  readonly servedModels: readonly ServedModelSnapshot[];
  /** Paid by the token: what its tenant may send a minute, over all endpoints of the same key. */
  readonly rateLimit?: UseLimits & { readonly key: string };
  /** Paid by the token, and not paid for: it serves nothing. */
  readonly suspended?: boolean;
  readonly overflow?: OverflowSnapshot;
  /** It is somebody else's server, which requests only spill to. */
  readonly upstream?: UpstreamSnapshot;
}

export interface AdapterSnapshot {
  /** What engines know it by. */
  readonly adapterId: string;
  readonly name: string;
  /** It is served by the endpoint's served models of this one. */
  readonly baseModelId: string;
  readonly rank: number;
  /** As the engines see it. */
  readonly path: string;
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
  /** What requests to adapters take more, by rank; absent: not known. */
  readonly lora?: readonly LoraFactor[];
  /** Adapters that one replica holds at most. */
  readonly adaptersPerReplica?: number;
  /** Sequences a unit decodes together at this tier (B*). */
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  /** What the tier promises and how a unit steps; absent: no latency is guarded. */
  readonly latency?: LatencyGuard;
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
