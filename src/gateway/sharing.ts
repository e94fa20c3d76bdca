import { Gauge } from 'prom-client';
import { capacityUs } from '../core/serving/bucket.ts';
import type { LeaseReport } from '../core/serving/shared-capacity.ts';
import { totalUs } from '../core/serving/work.ts';
import type { Counters, SharedLease } from '../counters/port.ts';
import type { ServedModel } from './served.ts';
import type { State } from './state.ts';

export type { Counters } from '../counters/port.ts';

/** Between two leases of one served model, unless what it holds is spent before: where little is left, and where much is. */
const LEASE_EVERY_MS = 100;
const LEASE_EVERY_MS_MAX = 1_000;
const URGENT_MS = 2;
/** From one exchange to the next, however urgent: in overload one is always wanted. */
const GAP_MS = 25;
/** Without a lease for so long a gateway goes on by itself; before others take it as gone (LEASE_MS_MAX). */
const ALONE_AFTER_MS = 1_500;
const RETRY_MS = 250;
const NOT_SHARED = ['disaggregated'] as const;

export interface SharingStatus {
  /** `alone`: what leases come from is not reached; a fair share of everything is let in instead. */
  readonly mode: 'leased' | 'alone';
  /** Gateways that were last heard of, this one included. */
  readonly gateways: number;
  /** What each gateway still applies as a whole for itself. */
  readonly notShared: typeof NOT_SHARED;
}

export interface Sharing {
  status(): SharingStatus;
  stop(): Promise<void>;
}

interface SharingDeps {
  readonly state: State;
  readonly counters: Counters;
  readonly gatewayId: string;
}

/**
 * Takes leases for every served model that is asked for here: ten times a second where it is short, else down to once a second,
 * and when one is spent. While leases cannot be had, each gateway lets in 1/n of everything, n being how many there were; it says so, and takes leases again when it can.
 */
export function startSharing({ state, counters, gatewayId }: SharingDeps): Sharing {
  const { log, monotonicMs, registry } = state.deps;
  let gateways = 1;
  let alone = false;
  let leasedAtMs = monotonicMs();
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let turning: Promise<void> | null = null;
  let stopped = false;
  /** When each is to be leased anew; absent: now. */
  const dueMs = new WeakMap<ServedModel, number>();
  const soonestMs = new WeakMap<ServedModel, number>();
  const resting = new WeakSet<ServedModel>();

  function schedule(ms: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(begin, ms).unref();
  }

  function begin(): void {
    turning ??= turn().finally(() => {
      turning = null;
    });
  }

  /** Asked for while a turn is under way: right after it. */
  function hurry(model: ServedModel): void {
    dueMs.set(model, Math.min(dueMs.get(model) ?? 0, Math.max(monotonicMs(), soonestMs.get(model) ?? 0)));
    if (turning === null) schedule(restMs());
  }

  /** Until the next is due, and not before the last exchange is a little while ago. */
  function restMs(): number {
    let nextMs = monotonicMs() + LEASE_EVERY_MS;
    for (const model of state.served.values()) nextMs = Math.min(nextMs, dueMs.get(model) ?? nextMs);
    return Math.max(URGENT_MS, Math.max(nextMs, triedAtMs + GAP_MS) - monotonicMs());
  }

  async function turn(): Promise<void> {
    const nowMs = monotonicMs();
    const shared = Array.from(state.served.values()).filter((model) => isShared(model, nowMs));
    for (const model of shared) {
      model.askLease = () => hurry(model);
      resting.delete(model);
    }
    const models = shared.filter((model) => alone || (dueMs.get(model) ?? 0) <= nowMs);
    for (const model of state.served.values()) {
      if (!model.admission.isLeased || resting.has(model) || isShared(model, nowMs)) continue;
      rest(model, nowMs);
      resting.add(model);
      dueMs.delete(model);
    }
    try {
      if (models.length > 0 || alone) await exchange(models);
      leasedAtMs = monotonicMs();
      if (alone) log.info({ gateways }, 'capacity is shared by leases again');
      alone = false;
      schedule(restMs());
    } catch (err) {
      if (monotonicMs() - leasedAtMs > ALONE_AFTER_MS) goAlone(err);
      schedule(RETRY_MS);
    }
  }

  async function exchange(models: readonly ServedModel[]): Promise<void> {
    // Whoever finds its new lease spent already makes it due at once.
    for (const model of models) dueMs.set(model, Number.POSITIVE_INFINITY);
    try {
      const leases = await exchangeLeases({ models, counters, gatewayId, monotonicMs });
      gateways = Math.max(1, ...leases.map((lease) => lease.gateways));
      const nowMs = monotonicMs();
      for (const [index, model] of models.entries()) {
        const notBeforeMs = nowMs + soonestLeaseMs(model, leases[index]!);
        const wantedMs = Math.min(dueMs.get(model) ?? 0, nowMs + nextLeaseMs(model, leases[index]!, nowMs));
        soonestMs.set(model, notBeforeMs);
        dueMs.set(model, Math.max(notBeforeMs, wantedMs));
      }
    } catch (error) {
      for (const model of models) dueMs.delete(model);
      throw error;
    } finally {
      triedAtMs = monotonicMs();
    }
  }

  function goAlone(err: unknown): void {
    if (!alone)
      log.warn({ err, gateways }, 'capacity is not shared: this gateway lets in its fair share until it is again');
    alone = true;
    for (const model of state.served.values()) if (model.share !== 1 / gateways) model.takeLease(null, 1 / gateways);
  }

  new Gauge({
    name: 'cubit_sharing_alone',
    help: '1 while leases of shared capacity cannot be had and this gateway lets in its fair share.',
    registers: [registry],
    collect() {
      this.set(alone ? 1 : 0);
    },
  });
  schedule(0);
  return {
    status: () => ({ mode: alone ? 'alone' : 'leased', gateways, notShared: NOT_SHARED }),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await turning;
    },
  };
}

/**
 * How long a lease lasts: until half of it is likely used, where nobody waits and the bucket is less than a quarter full.
 * Else others may need soon what is not used here.
 */
export function nextLeaseMs({ admission, demand, queue }: ServedModel, lease: SharedLease, nowMs: number): number {
  const { capacityUs, running } = admission.view(nowMs);
  if (queue.size > 0 || lease.levelUs > capacityUs / 4) return LEASE_EVERY_MS;
  const expected = demand.expected(LEASE_EVERY_MS_MAX, nowMs);
  const places = (lease.sequences - running) / 2;
  const part = Math.min(lease.grantUs / 2 / Math.max(1, expected.workUs), places / Math.max(1, expected.sequences), 1);
  return Math.max(LEASE_EVERY_MS, Math.floor(LEASE_EVERY_MS_MAX * part));
}

/** From one lease to the next at least, however urgent: until the units have likely supplied what the next request lacks. */
export function soonestLeaseMs({ admission, queue }: ServedModel, lease: SharedLease): number {
  const head = queue.head();
  if (head === undefined) return 0;
  const missingUs = head.workUs - lease.grantUs;
  return Math.min(LEASE_EVERY_MS, Math.max(0, missingUs / (1_000 * Math.max(1, admission.readyUnits))));
}

/** Reports what these models let in and want, and lets them take the leases that it brings. */
export async function exchangeLeases(turn: {
  readonly models: readonly ServedModel[];
  readonly counters: Pick<Counters, 'exchange'>;
  readonly gatewayId: string;
  readonly monotonicMs: () => number;
}): Promise<readonly SharedLease[]> {
  const { models, counters, gatewayId, monotonicMs } = turn;
  const reports = models.map((model) => ({
    servedModelId: model.snapshot.servedModelId,
    report: reportOf(model, gatewayId, monotonicMs()),
  }));
  const leases = await counters.exchange(reports);
  for (const [index, model] of models.entries()) {
    const lease = leases[index];
    if (lease === undefined) continue;
    model.queue.setParts(new Map(Object.entries(lease.weights)));
    model.takeLease({ ...lease, reportedUs: reports[index]!.report.spentUs }, 1);
  }
  return leases;
}

/** It asks for nothing any more, so the others will count on what it holds. The next request asks first. */
function rest(model: ServedModel, nowMs: number): void {
  const { levelUs } = model.admission.view(nowMs);
  const reportedUs = model.admission.spentUs - model.admission.unreportedUs;
  model.takeLease(
    { grantUs: 0, levelUs: Math.max(0, levelUs - model.admission.unreportedUs), sequences: 0, kvTokens: 0, reportedUs },
    1,
  );
}

/** Machines of two kinds have two buckets: those are not leased. Nothing to say of what nobody asks for. */
function isShared(model: ServedModel, nowMs: number): boolean {
  if (model.snapshot.disaggregated || model.readyReplicas.length === 0) return false;
  if (!model.admission.isLeased) return true;
  return !model.demand.isIdle(nowMs) || model.queue.size > 0 || model.admission.view(nowMs).running > 0;
}

function reportOf(model: ServedModel, gatewayId: string, nowMs: number): LeaseReport {
  const { admission, demand, queue } = model;
  const { size, workUs } = queue;
  const next = queue.head()?.estimate ?? null;
  const { readyUnits, batchPerUnit, kvTokensPerUnit } = model.limits();
  const view = admission.view(nowMs);
  const expected = demand.expected(2 * LEASE_EVERY_MS, nowMs);
  const nextUs = next === null ? expected.nextUs : totalUs(next.work);
  return {
    gatewayId,
    spentUs: admission.spentUs,
    // What units have supplied for meanwhile counts no more: it may be an hour's, after as long without leases.
    unreportedUs: Math.min(admission.unreportedUs, view.levelUs),
    wantUs: Math.ceil(Math.max(workUs, next === null ? 0 : nextUs) + expected.workUs),
    nextUs: Math.ceil(nextUs),
    levelUs: view.levelUs,
    keys: expected.keys,
    keyWeights: expected.keyWeights,
    sequences: { used: view.running, want: size + expected.sequences },
    kvTokens: {
      used: Math.ceil(view.kvTokens),
      want: Math.ceil(expected.kvTokens + size * (next?.kvTokens ?? 0)),
    },
    units: readyUnits,
    capacityUs: capacityUs(readyUnits),
    sequencesMax: Math.floor(batchPerUnit * readyUnits),
    kvTokensMax: Math.floor(kvTokensPerUnit * readyUnits),
  };
}
