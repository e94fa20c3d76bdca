import { upstreamKey } from '../overflow-snapshot.ts';
import { type EndpointSnapshot, endpointKey, type GatewaySnapshot, type KeySnapshot } from '../snapshot.ts';

/**
 * How the control plane tells gateways what they work from: lines of JSON. The first is the whole snapshot, each further one
 * what changed since the one before; a beat says that nothing did. Versions count within one run of one control process
 * (its `epoch`); another epoch begins with a whole snapshot.
 */
export type FeedLine = WholeLine | ChangeLine | BeatLine;

export interface WholeLine {
  readonly type: 'whole';
  readonly epoch: string;
  readonly version: number;
  readonly keys: readonly (readonly [hash: string, key: KeySnapshot])[];
  readonly endpoints: readonly EndpointSnapshot[];
}

export interface ChangeLine {
  readonly type: 'change';
  readonly epoch: string;
  /** The version that it changes into `version`. */
  readonly from: number;
  readonly version: number;
  readonly keys: readonly (readonly [hash: string, key: KeySnapshot])[];
  readonly keysGone: readonly string[];
  readonly endpoints: readonly EndpointSnapshot[];
  readonly endpointsGone: readonly string[];
}

interface BeatLine {
  readonly type: 'beat';
  readonly epoch: string;
  readonly version: number;
}

/** Where a gateway stands: what it asks to go on from. */
export interface FeedPlace {
  readonly epoch: string;
  readonly version: number;
}

export const FEED_PATH = '/internal/v1/snapshot';
export const RECEIPTS_PATH = '/internal/v1/receipts';
export const REPORT_PATH = '/internal/v1/report';
export const LEASES_PATH = '/internal/v1/leases';
export const BUDGETS_PATH = '/internal/v1/spill-budgets';
export const BEAT_MS = 1_000;

/** A snapshot as tables: what travels, and what changes are found in. Throws when a snapshot holds more than those. */
export function tablesOf(snapshot: GatewaySnapshot) {
  const { version: _, keys, endpoints, ...others } = snapshot;
  // A field that is added to snapshots has to be added here: the compiler says so.
  others satisfies Record<string, never>;
  const byId = new Map<string, EndpointSnapshot>();
  for (const endpoint of endpoints.values()) byId.set(endpoint.endpointId, endpoint);
  return { keys, endpoints: byId };
}

/** The gateway's copy: takes lines, gives snapshots. */
export class FeedCopy {
  place: FeedPlace | null = null;
  #keys: ReadonlyMap<string, KeySnapshot> = new Map();
  #endpoints = new Map<string, EndpointSnapshot>();
  /** What it gives counts up whatever the epoch: a gateway takes no older version. */
  #given = 0;

  /** The next snapshot; null when nothing changed. Throws `Error` when the line does not follow on what it has. */
  take(line: FeedLine): GatewaySnapshot | null {
    const { place } = this;
    const follows = line.type === 'whole' || (place?.epoch === line.epoch && place.version === versionBefore(line));
    if (!follows) throw new Error(`A ${line.type} of version ${line.version} does not follow what is here.`);
    if (line.type === 'beat') return null;
    if (line.type === 'whole') {
      this.#keys = new Map(line.keys);
      this.#endpoints = new Map(line.endpoints.map((endpoint) => [endpoint.endpointId, endpoint]));
    } else {
      this.#change(line);
    }
    this.place = { epoch: line.epoch, version: line.version };
    return this.#snapshot();
  }

  /** All of it as one line, to be kept; null before the first. */
  whole(): WholeLine | null {
    if (this.place === null) return null;
    return { type: 'whole', ...this.place, keys: [...this.#keys], endpoints: [...this.#endpoints.values()] };
  }

  #change(line: ChangeLine): void {
    if (line.keys.length > 0 || line.keysGone.length > 0) {
      const keys = new Map(this.#keys);
      for (const hash of line.keysGone) keys.delete(hash);
      for (const [hash, key] of line.keys) keys.set(hash, key);
      this.#keys = keys;
    }
    for (const id of line.endpointsGone) this.#endpoints.delete(id);
    for (const endpoint of line.endpoints) this.#endpoints.set(endpoint.endpointId, endpoint);
  }

  #snapshot(): GatewaySnapshot {
    const endpoints = new Map<string, EndpointSnapshot>();
    for (const endpoint of this.#endpoints.values()) {
      if (endpoint.upstream !== undefined) {
        endpoints.set(upstreamKey(endpoint.endpointId), endpoint);
        continue;
      }
      endpoints.set(endpointKey(endpoint.tenantId, endpoint.name), endpoint);
      endpoints.set(endpointKey(endpoint.tenantId, endpoint.endpointId), endpoint);
    }
    this.#given += 1;
    return { version: this.#given, keys: this.#keys, endpoints };
  }
}

function versionBefore(line: ChangeLine | BeatLine): number {
  return line.type === 'change' ? line.from : line.version;
}
