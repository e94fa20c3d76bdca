import { type ChangeLine, type FeedPlace, tablesOf, type WholeLine } from '../../gateway/feed/wire.ts';
import type { GatewaySnapshot } from '../../gateway/snapshot.ts';

export interface FeedLimits {
  /** Changes that are kept for gateways that fell behind; beyond them they get the whole snapshot. */
  readonly changes: number;
  readonly bytes: number;
}

const LIMITS: FeedLimits = { changes: 1_000, bytes: 8 * 2 ** 20 };

interface Kept {
  readonly from: number;
  readonly text: string;
}

/**
 * The snapshot in versions: each that differs from the one before becomes a change, and changes are kept while they are
 * few and small, so that a gateway that was away for a moment gets only what it missed.
 */
export class SnapshotFeed {
  readonly #epoch: string;
  readonly #limits: FeedLimits;
  /** As JSON, to compare with and to send. */
  #keys = new Map<string, string>();
  #endpoints = new Map<string, string>();
  #version = 0;
  #changes: Kept[] = [];
  #bytes = 0;
  readonly #listeners = new Set<() => void>();

  /** `epoch` names this run of this process, unlike any other. */
  constructor(epoch: string, limits: FeedLimits = LIMITS) {
    this.#epoch = epoch;
    this.#limits = limits;
  }

  get place(): FeedPlace {
    return { epoch: this.#epoch, version: this.#version };
  }

  /** Makes a new version of it, unless nothing changed. */
  publish(snapshot: GatewaySnapshot): void {
    const tables = tablesOf(snapshot);
    const keys = jsonOf(tables.keys);
    const endpoints = jsonOf(tables.endpoints);
    const change = {
      keys: changed(this.#keys, keys),
      keysGone: gone(this.#keys, keys),
      endpoints: changed(this.#endpoints, endpoints),
      endpointsGone: gone(this.#endpoints, endpoints),
    };
    if (this.#version > 0 && Object.values(change).every((list) => list.length === 0)) return;
    this.#keys = keys;
    this.#endpoints = endpoints;
    this.#version += 1;
    const head = { type: 'change', epoch: this.#epoch, from: this.#version - 1, version: this.#version } as const;
    const line: ChangeLine = {
      ...head,
      ...change,
      keys: change.keys.map((hash) => [hash, tables.keys.get(hash)!]),
      endpoints: change.endpoints.map((id) => tables.endpoints.get(id)!),
    };
    this.#keep({ from: head.from, text: JSON.stringify(line) });
    for (const listener of this.#listeners) listener();
  }

  /** The lines that bring a gateway from its place up to date: changes, or the whole when they are no longer kept. */
  since(place: FeedPlace | null): readonly string[] {
    if (place?.epoch !== this.#epoch || place.version > this.#version) return [this.#whole()];
    if (place.version === this.#version) return [];
    const first = this.#changes.findIndex(({ from }) => from === place.version);
    return first === -1 ? [this.#whole()] : this.#changes.slice(first).map(({ text }) => text);
  }

  beat(): string {
    return JSON.stringify({ type: 'beat', ...this.place });
  }

  /** Called after each new version; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #keep(kept: Kept): void {
    this.#changes.push(kept);
    this.#bytes += kept.text.length;
    while (this.#changes.length > this.#limits.changes || this.#bytes > this.#limits.bytes) {
      this.#bytes -= this.#changes.shift()!.text.length;
    }
  }

  #whole(): string {
    const keys = Array.from(this.#keys, ([hash, json]) => `[${JSON.stringify(hash)},${json}]`);
    const head: Pick<WholeLine, 'type' | 'epoch' | 'version'> = { type: 'whole', ...this.place };
    return `${JSON.stringify(head).slice(0, -1)},"keys":[${keys}],"endpoints":[${[...this.#endpoints.values()]}]}`;
  }
}

function jsonOf(table: ReadonlyMap<string, object>): Map<string, string> {
  return new Map(Array.from(table, ([id, row]) => [id, JSON.stringify(row)]));
}

function changed(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  return Array.from(now).flatMap(([id, json]) => (before.get(id) === json ? [] : id));
}

function gone(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  return Array.from(before.keys()).filter((id) => !now.has(id));
}
