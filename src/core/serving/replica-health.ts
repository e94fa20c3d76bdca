import { Pace, type PaceSample, slownesses } from './pace.ts';

/**
 * Which of a pool's replicas are fit to serve, by how their requests end: outlier ejection with half-open probes.
 *
 *     serving → ejected, when it fails again and again, stalls, or is much slower than its peers and than what was sold
 *     ejected → probing, when its time is over: real requests, one at a time
 *     probing → serving, after some that went well; → ejected, for twice as long, after one that did not
 *
 * When more than a share of the pool looks bad, the fault is likely elsewhere: then all serve (panic). Time is passed in,
 * monotonic ms. A request that the client gave up says nothing about the replica.
 */
export type HealthState = 'serving' | 'ejected' | 'probing';
export type EjectReason = 'unreachable' | 'failing' | 'stalled' | 'slow_first_token' | 'slow_tokens';

export interface HealthSettings {
  /** Of the pool that may be kept out at once. */
  readonly ejectedShareMax: number;
  readonly failuresInARow: number;
  /** A connection that cannot be made says more than a failed answer. */
  readonly unreachableInARow: number;
  /** Or so many of the last 16 ends. */
  readonly failuresOf16: number;
  /** Times slower than the median of its peers, and than what was sold. */
  readonly slowFactor: number;
  readonly soldFactor: number;
  readonly samplesMin: number;
  /** Kept out for so long at first, doubled each time, up to the second. */
  readonly ejectMs: number;
  readonly ejectMsMax: number;
  /** Requests in a row that have to go well before it serves fully again. */
  readonly probes: number;
  /** Having served so long, one doubling is forgotten. */
  readonly forgetMs: number;
  /** Peers are compared so often. */
  readonly compareMs: number;
}

export const HEALTH_SETTINGS: HealthSettings = {
  ejectedShareMax: 0.5,
  failuresInARow: 3,
  unreachableInARow: 2,
  failuresOf16: 8,
  slowFactor: 3,
  soldFactor: 1.5,
  samplesMin: 8,
  ejectMs: 2_000,
  ejectMsMax: 60_000,
  probes: 3,
  forgetMs: 120_000,
  compareMs: 1_000,
};

export interface HealthView {
  readonly state: HealthState;
  /** Why it was ejected last; null = never since it was last sound for long. */
  readonly reason: EjectReason | null;
}

export interface HealthChange extends HealthView {
  readonly replicaId: string;
  /** How long it is kept out at least; 0 unless ejected. */
  readonly ejectedMs: number;
}

/** How a request on a replica ended. `abandoned`: by the client, or by a drain. */
export type HealthEnd = 'ok' | 'failed' | 'unreachable' | 'abandoned';

export interface HealthSamples {
  readonly firstToken?: PaceSample;
  readonly tokens?: PaceSample;
}

interface Entry extends HealthView {
  state: HealthState;
  reason: EjectReason | null;
  /** Another with every change of state. */
  epoch: number;
  readonly firstToken: Pace;
  readonly tokens: Pace;
  failuresInARow: number;
  /** All of these failures in a row were of the connection. */
  unreachable: boolean;
  /** The last 16 ends, newest lowest: 1 = failed. */
  ends: number;
  untilMs: number;
  /** Doublings of the time it is kept out. */
  ejections: number;
  servingSinceMs: number;
  probesWell: number;
  /** Requests that have not shown a sign yet, and since when nothing has come at all; see `stalled`. */
  pending: number;
  quietSinceMs: number;
  quietMsMax: number;
}

export class ReplicaHealth {
  readonly #settings: HealthSettings;
  readonly #onChange: (change: HealthChange) => void;
  readonly #entries = new Map<string, Entry>();
  /** Not serving: few or none. */
  readonly #bad = new Set<string>();
  #epochs = 0;
  #comparedMs = Number.NEGATIVE_INFINITY;
  ejectionsTotal = 0;

  constructor(onChange: (change: HealthChange) => void = () => {}, settings: Partial<HealthSettings> = {}) {
    this.#settings = { ...HEALTH_SETTINGS, ...settings };
    this.#onChange = onChange;
  }

  /** The replicas of the pool now: new ones serve, those left out are forgotten. */
  keep(replicaIds: ReadonlySet<string>, nowMs: number): void {
    for (const id of this.#entries.keys()) if (!replicaIds.has(id)) this.forget(id);
    for (const id of replicaIds) if (!this.#entries.has(id)) this.#entries.set(id, newEntry(nowMs, this.#nextEpoch()));
  }

  /** It is gone, or has started anew. */
  forget(replicaId: string): void {
    this.#entries.delete(replicaId);
    this.#bad.delete(replicaId);
  }

  /** More look bad than may be kept out: all serve. */
  get panic(): boolean {
    return this.#bad.size > Math.floor(this.#entries.size * this.#settings.ejectedShareMax);
  }

  /** Whether it takes requests like any other; those that are new to this do. */
  serves(replicaId: string): boolean {
    return !this.#bad.has(replicaId) || this.panic;
  }

  view(replicaId: string): HealthView | null {
    const entry = this.#entries.get(replicaId);
    return entry === undefined ? null : { state: entry.state, reason: entry.reason };
  }

  get badCount(): number {
    return this.#bad.size;
  }

  /** A replica that is to be tried with the next request; null: none. */
  probeDue(nowMs: number): string | null {
    for (const id of this.#bad) {
      const entry = this.#entries.get(id) as Entry;
      if (entry.state === 'ejected' && nowMs >= entry.untilMs) this.#become(id, entry, 'probing', 0);
      if (entry.state === 'probing' && entry.pending === 0) return id;
    }
    return null;
  }

  /**
   * A request was sent there; it has stalled when nothing comes from the replica for longer than `quietMsMax`. Returns the
   * epoch to end it with: what began before a replica's state changed says nothing about it after.
   */
  began(replicaId: string, nowMs: number, quietMsMax: number): number {
    const entry = this.#entries.get(replicaId);
    if (entry === undefined) return 0;
    if (entry.pending === 0) {
      entry.quietSinceMs = nowMs;
      entry.quietMsMax = 0;
    }
    entry.pending += 1;
    entry.quietMsMax = Math.max(entry.quietMsMax, quietMsMax);
    return entry.epoch;
  }

  /** A request there has its first token: the replica lives. */
  progressed(replicaId: string, nowMs: number): void {
    const entry = this.#entries.get(replicaId);
    if (entry !== undefined) entry.quietSinceMs = nowMs;
  }

  /** A request that began there is over: exactly once each. */
  ended(replicaId: string, epoch: number, nowMs: number, end: HealthEnd, samples: HealthSamples = {}): void {
    const entry = this.#entries.get(replicaId);
    if (entry === undefined || entry.epoch !== epoch) return;
    entry.pending -= 1;
    if (end === 'abandoned') return;
    if (end === 'ok') entry.quietSinceMs = nowMs;
    if (samples.firstToken !== undefined) entry.firstToken.add(samples.firstToken);
    if (samples.tokens !== undefined) entry.tokens.add(samples.tokens);
    entry.ends = ((entry.ends << 1) | (end === 'ok' ? 0 : 1)) & 0xffff;
    entry.unreachable = end === 'unreachable' && (entry.unreachable || entry.failuresInARow === 0);
    entry.failuresInARow = end === 'ok' ? 0 : entry.failuresInARow + 1;
    if (entry.state === 'probing') this.#probed(replicaId, entry, nowMs, end);
    else if (entry.state === 'serving' && end !== 'ok') this.#failed(replicaId, entry, nowMs);
  }

  /** Compares the peers, when it is time for that again. */
  compare(nowMs: number): void {
    const { compareMs, samplesMin } = this.#settings;
    if (nowMs - this.#comparedMs < compareMs) return;
    this.#comparedMs = nowMs;
    const slow = this.#slow(samplesMin);
    for (const [id, entry] of this.#entries) {
      if (entry.state !== 'serving') continue;
      const isStalled = entry.pending > 0 && nowMs - entry.quietSinceMs > entry.quietMsMax;
      const reason = isStalled ? 'stalled' : slow.get(id);
      if (reason !== undefined) this.#eject(id, entry, nowMs, reason);
      else this.#forgive(entry, nowMs);
    }
  }

  /** Those that are much slower than their peers and than what was sold; O(n log n). */
  #slow(samplesMin: number): ReadonlyMap<string, EjectReason> {
    const { slowFactor, soldFactor } = this.#settings;
    const slow = new Map<string, EjectReason>();
    const judge = (reason: EjectReason, paceOf: (entry: Entry) => Pace) => {
      const times = slownesses(Array.from(this.#entries.values(), paceOf), samplesMin);
      let at = 0;
      for (const [id, entry] of this.#entries) {
        const isSlow = (times[at] as number) >= slowFactor && paceOf(entry).perSold >= soldFactor;
        if (isSlow) slow.set(id, reason);
        at += 1;
      }
    };
    judge('slow_tokens', ({ tokens }) => tokens);
    judge('slow_first_token', ({ firstToken }) => firstToken);
    return slow;
  }

  #forgive(entry: Entry, nowMs: number): void {
    if (entry.ejections === 0 || nowMs - entry.servingSinceMs < this.#settings.forgetMs) return;
    entry.ejections -= 1;
    entry.servingSinceMs = nowMs;
    if (entry.ejections === 0) entry.reason = null;
  }

  #failed(replicaId: string, entry: Entry, nowMs: number): void {
    const { failuresInARow, unreachableInARow, failuresOf16 } = this.#settings;
    if (entry.unreachable && entry.failuresInARow >= unreachableInARow) {
      this.#eject(replicaId, entry, nowMs, 'unreachable');
    } else if (entry.failuresInARow >= failuresInARow || onesOf(entry.ends) >= failuresOf16) {
      this.#eject(replicaId, entry, nowMs, 'failing');
    }
  }

  #probed(replicaId: string, entry: Entry, nowMs: number, end: HealthEnd): void {
    if (end !== 'ok') {
      this.#eject(replicaId, entry, nowMs, end === 'unreachable' ? end : 'failing');
      return;
    }
    entry.probesWell += 1;
    if (entry.probesWell < this.#settings.probes) return;
    const slow = this.#slow(this.#settings.probes).get(replicaId);
    if (slow !== undefined) {
      this.#eject(replicaId, entry, nowMs, slow);
      return;
    }
    entry.servingSinceMs = nowMs;
    this.#become(replicaId, entry, 'serving', 0);
  }

  #eject(replicaId: string, entry: Entry, nowMs: number, reason: EjectReason): void {
    const { ejectMs, ejectMsMax } = this.#settings;
    const ejectedMs = Math.min(ejectMsMax, ejectMs * 2 ** Math.min(30, entry.ejections));
    if (ejectedMs < ejectMsMax) entry.ejections += 1;
    entry.untilMs = nowMs + ejectedMs;
    entry.reason = reason;
    this.ejectionsTotal += 1;
    this.#become(replicaId, entry, 'ejected', ejectedMs);
  }

  #nextEpoch(): number {
    this.#epochs += 1;
    return this.#epochs;
  }

  #become(replicaId: string, entry: Entry, state: HealthState, ejectedMs: number): void {
    entry.state = state;
    entry.epoch = this.#nextEpoch();
    entry.pending = 0;
    entry.probesWell = 0;
    entry.failuresInARow = 0;
    entry.ends = 0;
    entry.firstToken.clear();
    entry.tokens.clear();
    if (state === 'serving') this.#bad.delete(replicaId);
    else this.#bad.add(replicaId);
    this.#onChange({ replicaId, state, reason: entry.reason, ejectedMs });
  }
}

function newEntry(nowMs: number, epoch: number): Entry {
  return {
    epoch,
    state: 'serving',
    reason: null,
    firstToken: new Pace(),
    tokens: new Pace(),
    failuresInARow: 0,
    unreachable: false,
    ends: 0,
    untilMs: 0,
    ejections: 0,
    servingSinceMs: nowMs,
    probesWell: 0,
    pending: 0,
    quietSinceMs: nowMs,
    quietMsMax: 0,
  };
}

function onesOf(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
