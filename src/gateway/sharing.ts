import { Gauge } from 'prom-client';
import type { Estimate } from '../core/serving/admission.ts';
import { capacityUs } from '../core/serving/bucket.ts';
import type { LeaseReport } from '../core/serving/shared-capacity.ts';
import { totalUs } from '../core/serving/work.ts';
import type { Counters, SharedLease } from '../counters/port.ts';
import type { ServedModel } from './served.ts';
import type { State } from './state.ts';

export type { Counters } from '../counters/port.ts';

/** Between two leases of one served model, unless what it holds is spent before. */
const LEASE_EVERY_MS = 100;
const URGENT_MS = 2;
/** From one exchange to the next, however urgent: in overload one is always wanted. */
const GAP_MS = 25;
/** Without a lease for so long a gateway goes on by itself; before others take it as gone (LEASE_MS_MAX). */
const ALONE_AFTER_MS = 1_500;
const RETRY_MS = 250;

export interface SharingStatus {
  /** `alone`: what leases come from is not reached; a fair share of everything is let in instead. */
  readonly mode: 'leased' | 'alone';
  /** Gateways that were last heard of, this one included. */
  readonly gateways: number;
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
 * Takes leases for every served model that is asked for here, some ten times a second and when one is spent. While leases cannot be
 * had, each gateway lets in 1/n of everything, n being how many there were; it says so, and takes leases again when it can.
 */
export function startSharing({ state, counters, gatewayId }: SharingDeps): Sharing {
  const { log, monotonicMs, registry } = state.deps;
  let gateways = 1;
  let alone = false;
  let leasedAtMs = monotonicMs();
  let timer: NodeJS.Timeout | undefined;
  let turning: Promise<void> | null = null;
  let urgent = false;
  let stopped = false;
  const resting = new WeakSet<ServedModel>();

  function schedule(ms: number): void {
    clearTimeout(timer);
    if (!stopped) timer = setTimeout(begin, ms).unref();
  }

  function urgentMs(): number {
    return Math.max(URGENT_MS, leasedAtMs + GAP_MS - monotonicMs());
  }

  function begin(): void {
    turning ??= turn().finally(() => {
      turning = null;
    });
  }

  /** Asked for while a turn is under way: right after it. */
  function hurry(): void {
    if (urgent) return;
    urgent = true;
    if (turning === null) schedule(urgentMs());
  }

  async function turn(): Promise<void> {
    urgent = false;
    const nowMs = monotonicMs();
    const models = Array.from(state.served.values()).filter((model) => isShared(model, nowMs));
    for (const model of models) {
      model.askLease = hurry;
      resting.delete(model);
    }
    for (const model of state.served.values()) {
      if (!model.admission.isLeased || resting.has(model) || isShared(model, nowMs)) continue;
      rest(model, nowMs);
      resting.add(model);
    }
    try {
      if (models.length > 0 || alone) await exchange(models);
      leasedAtMs = monotonicMs();
      if (alone) log.info({ gateways }, 'capacity is shared by leases again');
      alone = false;
      schedule(urgent ? urgentMs() : LEASE_EVERY_MS);
    } catch (err) {
      if (monotonicMs() - leasedAtMs > ALONE_AFTER_MS) goAlone(err);
      schedule(RETRY_MS);
    }
  }

  async function exchange(models: readonly ServedModel[]): Promise<void> {
    const leases = await exchangeLeases({ models, counters, gatewayId, monotonicMs });
    gateways = Math.max(1, ...leases.map((lease) => lease.gateways));
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
    status: () => ({ mode: alone ? 'alone' : 'leased', gateways }),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await turning;
    },
  };
}

/** What waits at a gateway, and the one that is next. */
export interface Line {
  readonly size: number;
  readonly workUs: number;
  readonly next: Estimate | null;
}

function queueOf({ queue }: ServedModel): Line {
  return { size: queue.size, workUs: queue.workUs, next: queue.head()?.estimate ?? null };
}

/** Reports what these models let in and want, and lets them take the leases that it brings. */
export async function exchangeLeases(turn: {
  readonly models: readonly ServedModel[];
  readonly counters: Pick<Counters, 'exchange'>;
  readonly gatewayId: string;
  readonly monotonicMs: () => number;
  readonly lineOf?: (model: ServedModel) => Line;
}): Promise<readonly SharedLease[]> {
  const { models, counters, gatewayId, monotonicMs, lineOf = queueOf } = turn;
  const reports = models.map((model) => ({
    servedModelId: model.snapshot.servedModelId,
    report: reportOf(model, lineOf(model), gatewayId, monotonicMs()),
  }));
  const leases = await counters.exchange(reports);
  for (const [index, model] of models.entries()) {
    const lease = leases[index];
    if (lease !== undefined) model.takeLease({ ...lease, reportedUs: reports[index]!.report.spentUs }, 1);
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

function reportOf(model: ServedModel, { size, workUs, next }: Line, gatewayId: string, nowMs: number): LeaseReport {
  const { admission, demand } = model;
  const { readyUnits, batchPerUnit, kvTokensPerUnit } = model.limits();
  const view = admission.view(nowMs);
  const expected = demand.expected(2 * LEASE_EVERY_MS, nowMs);
  const nextUs = next === null ? expected.nextUs : totalUs(next.work);
  return {
    gatewayId,
    spentUs: admission.spentUs,
    unreportedUs: admission.unreportedUs,
    wantUs: Math.ceil(Math.max(workUs, next === null ? 0 : nextUs) + expected.workUs),
    nextUs: Math.ceil(nextUs),
    levelUs: view.levelUs,
    keys: expected.keys,
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
