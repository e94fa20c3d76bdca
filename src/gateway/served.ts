import {
  Admission,
  type AdmissionLease,
  type AdmissionLimits,
  type Estimate,
  type Fit,
  type Reservation,
} from '../core/serving/admission.ts';
import { type Place, type PlaceLimits, Places } from '../core/serving/places.ts';
import { PromptLengths } from '../core/serving/prompt-lengths.ts';
import { FairQueue, type Offer, type Waiting } from '../core/serving/queue.ts';
import { Router } from '../core/serving/routing.ts';
import type { Share } from '../core/serving/shares.ts';
import { Utilization } from '../core/serving/utilization.ts';
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
import { outerShareOf } from './shares.ts';
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
/** The prefill that was let in fades: a predicted latency is looked at again after this. */
const FADES_MS = 250;
const TIMER_MS_MAX = 2_147_483_647;

/** The live state of one served model: its bucket and guard, its queue, its replicas, and what was learned of prompts. */
export class ServedModel {
  snapshot: ServedModelSnapshot;
  readonly admission: Admission;
  readonly queue: FairQueue<Waiter>;
  readonly places = new Places();
  readonly utilization: Utilization;
  readonly #placeOf = new Map<Reservation, Place>();
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
    this.utilization = new Utilization(limits.warning, deps.monotonicMs());
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

  /** Whether it may enter now, behind so much work of those that wait. */
  fit(share: Share, estimate: Estimate, aheadUs = 0, hasWaited = false): Fit {
    const nowMs = this.#deps.monotonicMs();
    const fit = this.admission.fit(estimate, nowMs, aheadUs, hasWaited);
    if (!fit.fits) return fit;
    const mayTake = this.places.mayTake(placeOf(share, estimate), this.#placeLimits(), nowMs);
    return mayTake ? fit : { fits: false, because: 'share', waitMs: this.admission.slotMs() };
  }

  reserve(key: KeySnapshot, estimate: Estimate): Reservation {
    const { keyId, tenantId } = key;
    const nowMs = this.#deps.monotonicMs();
    const reservation = this.admission.reserve(estimate, nowMs);
    const place = placeOf(outerShareOf(this.snapshot, key), estimate);
    this.places.took(place, nowMs);
    this.utilization.add(totalUs(estimate.work), this.admission.readyUnits, nowMs);
    this.#placeOf.set(reservation, place);
    const use = this.usedBy.get(keyId) ?? { tenantId, running: 0, reservedUs: 0 };
    this.usedBy.set(keyId, use);
    use.running += 1;
    use.reservedUs += totalUs(estimate.work);
    return reservation;
  }

  extend(keyId: string, reservation: Reservation, delta: Work, kvTokens: number): void {
    const nowMs = this.#deps.monotonicMs();
    this.admission.extend(reservation, delta, kvTokens, nowMs);
    this.utilization.add(totalUs(delta), this.admission.readyUnits, nowMs);
    (this.usedBy.get(keyId) as KeyUse).reservedUs += totalUs(delta);
  }

  /** It has its first token. */
  prefilled(reservation: Reservation): void {
    if (reservation.settled || reservation.prefilled) return;
    this.admission.prefilled(reservation);
    const place = this.#placeOf.get(reservation);
    if (place !== undefined) this.places.prefilled(place);
    if (this.queue.size > 0) this.pump();
  }

  settle(keyId: string, reservation: Reservation, actual: Work): void {
    const use = this.usedBy.get(keyId) as KeyUse;
    use.running -= 1;
    use.reservedUs -= totalUs(reservation.work);
    if (use.running === 0) this.usedBy.delete(keyId);
    const nowMs = this.#deps.monotonicMs();
    const place = this.#placeOf.get(reservation);
    if (place !== undefined) {
      if (!reservation.prefilled) this.places.prefilled(place);
      this.places.left(place, nowMs);
      this.#placeOf.delete(reservation);
    }
    this.utilization.add(totalUs(actual) - totalUs(reservation.work), this.admission.readyUnits, nowMs);
    this.admission.settle(reservation, actual, nowMs);
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
      const fit = this.fit(outerOf(head), head.estimate, 0, true);
      if (fit.fits) {
        this.queue.take();
        head.admit(this.reserve(head.key, head.estimate));
        continue;
      }
      if (fit.because === 'share' && this.#letInBeside()) continue;
      wakeMs = this.#wakeMs(fit, nowMs);
      break;
    }
    const dueMs = Math.min(wakeMs, this.queue.nextDeadlineMs() - nowMs);
    if (Number.isFinite(dueMs)) {
      this.#timer = setTimeout(() => this.pump(), Math.min(TIMER_MS_MAX, Math.max(1, Math.ceil(dueMs))));
    }
  }

  /** Whether only places that are left to others keep the head waiting. */
  headIsHeldBack(): boolean {
    const head = this.queue.head();
    if (head === undefined) return false;
    const fit = this.fit(outerOf(head), head.estimate);
    return !fit.fits && fit.because === 'share';
  }

  /** The head's share is held back: lets in the first of the others that has a place, which costs it no turn. */
  #letInBeside(): boolean {
    const held = new Set<string>();
    for (;;) {
      const other = this.queue.headOf((id) => !held.has(id));
      if (other === undefined) return false;
      if (this.fit(outerOf(other), other.estimate, 0, true).fits) {
        this.queue.remove(other);
        other.admit(this.reserve(other.key, other.estimate));
        return true;
      }
      held.add(outerOf(other).id);
    }
  }

  /** A full engine gets free by a settlement or a first token, which call `pump`; the rest changes with time. */
  #wakeMs(fit: Exclude<Fit, { fits: true }>, nowMs: number): number {
    if (fit.because === 'lease') this.askLease();
    if (fit.because === 'bucket') return fit.waitMs;
    if (fit.because === 'share') return this.places.nextEndMs() - nowMs;
    return fit.because === 'ttft' || fit.because === 'tpot' ? FADES_MS : Number.POSITIVE_INFINITY;
  }

  #placeLimits(): PlaceLimits {
    const { batchPerUnit, latency } = this.snapshot;
    const { readyUnits, running } = this.admission;
    const stepUs = latency === undefined ? Number.POSITIVE_INFINITY : latency.step.tau1Us * latency.stepTokensMax;
    const units = readyUnits * this.share;
    return { places: Math.ceil(batchPerUnit * units), running, stepPrefillUs: stepUs * units };
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

function placeOf(share: Share, { sequences, work }: Estimate): Place {
  return { share, sequences, prefillUs: work.prefillUs };
}

function outerOf({ shares }: Waiter): Share {
  return shares[0] as Share;
}

function limitsOf(snapshot: ServedModelSnapshot, readyUnits: number): AdmissionLimits {
  const { batchPerUnit, kvTokensPerUnit, latency, disaggregated: poolsApart } = snapshot;
  return { readyUnits, batchPerUnit, kvTokensPerUnit, poolsApart, ...(latency !== undefined && { latency }) };
}
