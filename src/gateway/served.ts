import {
  Admission,
  type AdmissionLease,
  type AdmissionLimits,
  type Estimate,
  type Reservation,
} from '../core/serving/admission.ts';
import { PromptLengths } from '../core/serving/prompt-lengths.ts';
import { FairQueue, type Offer, type Waiting } from '../core/serving/queue.ts';
import { Router } from '../core/serving/routing.ts';
import { totalUs, type Work } from '../core/serving/work.ts';
import type { Role } from '../fleet/port.ts';
import { ADAPTERS_PER_REPLICA, AdapterLoads } from './adapters.ts';
import { Demand } from './demand.ts';
import type { GatewayDeps } from './deps.ts';
import { Fitness } from './fitness.ts';
import { KvCache } from './kv-cache.ts';
import type { GatewayLimits } from './limits.ts';
import { DIALECTS } from './params.ts';
import { Replica } from './replica.ts';
import { noSignals } from './signals.ts';
import type { KeySnapshot, ServedModelSnapshot } from './snapshot.ts';
import { newTimings } from './timings.ts';

/** One request that waits for its place. Exactly one of `admit` and `expire` is called, unless it is removed before. */
export interface Waiter extends Waiting {
  readonly key: KeySnapshot;
  readonly estimate: Estimate;
  admit(reservation: Reservation): void;
  expire(): void;
}

export interface KeyUse {
  readonly tenantId: string;
  running: number;
  reservedUs: number;
}

/** setTimeout holds no longer delays. */
const TIMER_MS_MAX = 2_147_483_647;

/** The live state of one served model: its bucket and guard, its queue, its replicas, and what was learned of prompts. */
export class ServedModel {
  snapshot: ServedModelSnapshot;
  readonly admission: Admission;
  readonly queue: FairQueue<Waiter>;
  readonly router = new Router();
  readonly prompts: PromptLengths;
  readonly signals = noSignals();
  readonly fitness: Fitness;
  readonly adapterLoads = new AdapterLoads();
  readonly demand = new Demand();
  /** Of several gateways without a common lease, the part of everything that is this one's. */
  share = 1;
  /** Asks for a new lease now. */
  askLease: () => void = () => {};
  readonly replicas = new Map<string, Replica>();
  /** For `/metrics`. */
  readonly timings = newTimings();
  /** Fit to serve. Where requests begin: whole units and prefill machines; and where a prefill machine's requests go on. */
  readyReplicas: readonly Replica[] = [];
  decodeReplicas: readonly Replica[] = [];
  /** Requests routed, so that replicas can take turns. */
  turn = 0;
  /**
   * Extra request fields that pass: those that every ready replica's engine knows, since any may get the request. While
   * none is ready, those known last; before the first is, every engine's.
   */
  extras: ReadonlySet<string>;
  /** By key id: who is using it now. */
  readonly usedBy = new Map<string, KeyUse>();
  readonly #deps: GatewayDeps;
  #timer: NodeJS.Timeout | undefined;

  constructor(snapshot: ServedModelSnapshot, deps: GatewayDeps, limits: GatewayLimits) {
    this.snapshot = snapshot;
    this.prompts = new PromptLengths(snapshot.chatTemplateTokens);
    this.#deps = deps;
    this.admission = new Admission(limitsOf(snapshot, 0), deps.monotonicMs());
    this.queue = new FairQueue(limits.queue);
    this.extras = new Set(DIALECTS.flatMap((dialect) => [...deps.knownFields(dialect)]));
    this.fitness = new Fitness(deps.log, () => this.#refit());
    this.apply(snapshot);
  }

  /** Takes over a new snapshot: replicas come, go and change state; those that wait may fit now. */
  apply(snapshot: ServedModelSnapshot): void {
    this.snapshot = snapshot;
    const named = new Map(snapshot.replicas.map((replica) => [replica.replicaId, replica]));
    for (const replica of this.replicas.values()) {
      const now = named.get(replica.replicaId);
      if (now !== undefined && replica.is(now)) replica.ready = now.state === 'ready';
      else this.#drop(replica);
    }
    for (const replica of snapshot.replicas) {
      const { address } = replica;
      if (address === null || replica.state !== 'ready' || this.replicas.has(replica.replicaId)) continue;
      const onCloseError = (err: unknown) =>
        this.#deps.log.warn({ replica: replica.replicaId, err }, 'engine close failed');
      const adaptersMax = snapshot.adaptersPerReplica ?? ADAPTERS_PER_REPLICA;
      const observe = (ms: number) => this.adapterLoads.observe(ms);
      const { replicaId } = replica;
      const evicted = (heldChars: number) => this.router.evicted(replicaId, heldChars);
      const kv = new KvCache(replicaId, address, this.#deps, evicted);
      const found = { ...replica, address };
      this.replicas.set(replicaId, new Replica(found, this.#deps.connect, onCloseError, adaptersMax, observe, kv));
    }
    this.#refit();
  }

  /** One that is to be tried with this request, which has failed nowhere yet; null: none. Compares replicas when it is time. */
  onTrial(role: Role, excluded: ReadonlySet<string>, nowMs: number): Replica | null {
    const health = this.fitness.of(role);
    health.compare(nowMs);
    const due = excluded.size > 0 ? null : health.probeDue(nowMs);
    return due === null ? null : (this.replicas.get(due) ?? null);
  }

  /** What serves now, and how much: units that are kept out have no capacity to give. */
  #refit(): void {
    this.#takeStock();
    this.admission.setLimits(this.limits(), this.#deps.monotonicMs());
    this.pump();
  }

  /** What all gateways together may let in, and this one's share of it. */
  limits(): AdmissionLimits {
    return { ...limitsOf(this.snapshot, this.#readyUnits()), share: this.share };
  }

  /** With a lease, what it says; without, `share` of everything. */
  takeLease(lease: AdmissionLease | null, share: number): void {
    this.share = share;
    this.admission.setLimits(this.limits(), this.#deps.monotonicMs());
    this.admission.setLease(lease, this.#deps.monotonicMs());
    this.pump();
  }

  reserve({ keyId, tenantId }: KeySnapshot, estimate: Estimate): Reservation {
    const reservation = this.admission.reserve(estimate, this.#deps.monotonicMs());
    const use = this.usedBy.get(keyId) ?? { tenantId, running: 0, reservedUs: 0 };
    this.usedBy.set(keyId, use);
    use.running += 1;
    use.reservedUs += totalUs(estimate.work);
    return reservation;
  }

  extend(keyId: string, reservation: Reservation, delta: Work, kvTokens: number): void {
    this.admission.extend(reservation, delta, kvTokens, this.#deps.monotonicMs());
    (this.usedBy.get(keyId) as KeyUse).reservedUs += totalUs(delta);
  }

  settle(keyId: string, reservation: Reservation, actual: Work): void {
    const use = this.usedBy.get(keyId) as KeyUse;
    use.running -= 1;
    use.reservedUs -= totalUs(reservation.work);
    if (use.running === 0) this.usedBy.delete(keyId);
    this.admission.settle(reservation, actual, this.#deps.monotonicMs());
    this.pump();
  }

  enqueue(waiter: Waiter): Offer {
    const offer = this.queue.offer(waiter, this.#deps.monotonicMs());
    if (offer === 'queued') this.pump();
    return offer;
  }

  /** The client left, or another end was put to its waiting. */
  dequeue(waiter: Waiter): void {
    if (this.queue.remove(waiter)) this.pump();
  }

  /** Lets in whoever fits, in order, and sets the clock for the next moment at which that can change by itself. */
  pump(): void {
    clearTimeout(this.#timer);
    const nowMs = this.#deps.monotonicMs();
    for (const waiter of this.queue.takeExpired(nowMs)) waiter.expire();
    let wakeMs = Number.POSITIVE_INFINITY;
    for (let head = this.queue.head(); head !== undefined; head = this.queue.head()) {
      const fit = this.admission.fit(head.estimate, nowMs);
      if (!fit.fits) {
        // A full engine gets free by a settlement, which calls this again; only the bucket drains with time.
        if (fit.because === 'bucket') wakeMs = fit.waitMs;
        if (fit.because === 'lease') this.askLease();
        break;
      }
      this.queue.take();
      head.admit(this.reserve(head.key, head.estimate));
    }
    const dueMs = Math.min(wakeMs, this.queue.nextDeadlineMs() - nowMs);
    if (Number.isFinite(dueMs)) {
      this.#timer = setTimeout(() => this.pump(), Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(dueMs))));
    }
  }

  /** Milliseconds until a unit is likely ready; null when none is on its way. */
  etaMs(): number | null {
    const starting = this.snapshot.replicas.filter((replica) => replica.state === 'starting');
    if (starting.length === 0) return this.snapshot.unitsMax > 0 ? this.snapshot.startupMs : null;
    const firstMs = Math.min(...starting.map((replica) => replica.startedAtMs));
    const { startupMs } = this.snapshot;
    // A clock that was set back makes no unit later than one that starts now.
    return Math.max(1_000, Math.min(startupMs, firstMs + startupMs - this.#deps.now()));
  }

  /** It is served no longer: running requests end by themselves, those that wait end now. */
  retire(): void {
    this.admission.setLimits(limitsOf(this.snapshot, 0), this.#deps.monotonicMs());
    for (let waiter = this.queue.take(); waiter !== undefined; waiter = this.queue.take()) waiter.expire();
    for (const replica of this.replicas.values()) this.#drop(replica);
    this.#takeStock();
    clearTimeout(this.#timer);
  }

  #takeStock(): void {
    const ready = [...this.replicas.values()].filter((replica) => replica.ready);
    this.fitness.keep(ready, this.#deps.monotonicMs());
    const fit = ready.filter(({ replicaId, role }) => this.fitness.of(role).serves(replicaId));
    this.decodeReplicas = fit.filter(({ role }) => role === 'decode');
    this.readyReplicas = fit.filter(({ role }) => role === 'unified' || role === 'prefill');
    const dialects = new Set(ready.map((replica) => replica.dialect));
    const [first, ...others] = [...dialects].map((dialect) => this.#deps.knownFields(dialect));
    if (first === undefined) return;
    this.extras = new Set([...first].filter((name) => others.every((fields) => fields.has(name))));
  }

  /** Machines for prefill and decode make units in pairs, whichever they were bought as. */
  #readyUnits(): number {
    const prefills = this.readyReplicas.filter(({ role }) => role === 'prefill').length;
    return this.readyReplicas.length - prefills + Math.min(prefills, this.decodeReplicas.length);
  }

  #drop(replica: Replica): void {
    replica.retire();
    this.replicas.delete(replica.replicaId);
    this.router.forget(replica.replicaId);
    this.fitness.forget(replica.replicaId);
  }
}

function limitsOf(snapshot: ServedModelSnapshot, readyUnits: number): AdmissionLimits {
  const { batchPerUnit, kvTokensPerUnit, disaggregated: poolsApart } = snapshot;
  return { readyUnits, batchPerUnit, kvTokensPerUnit, poolsApart };
}
