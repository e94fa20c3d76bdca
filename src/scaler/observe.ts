import type { ScalingObservation, UnitObservation } from '../core/serving/scaling/observation.ts';

/** What a gateway tells of a served model (`GatewayStats`); totals only grow while it lives. */
export interface ServedSignals {
  readonly servedModelId: string;
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  /** In the KV cache, of all units together. */
  readonly kvTokensLikely: number;
  /** How many times its own work prefill takes where it fills every step. */
  readonly prefillStretch: number;
  readonly queued: number;
  readonly queuedUs: number;
  /** Requests that came for it, those refused for want of capacity or out of time, and the work that all asked for. */
  readonly arrivals: number;
  readonly arrivedUs: number;
  readonly refused: number;
  readonly completed: number;
  /** Prefill of requests that ended. */
  readonly prefillUs: number;
  /** Sums over requests that completed, waiting included, and how many had one. */
  readonly ttftMsSum: number;
  readonly ttftCount: number;
  readonly tpotMsSum: number;
  readonly tpotCount: number;
  /** Sequences on each replica, draining ones included. */
  readonly runningOn: ReadonlyMap<string, number>;
  /** Replicas that are ready and take no requests but trials, by how theirs ended; why. */
  readonly unfit: ReadonlyMap<string, string>;
}

/** A unit that exists, with its machines: one, or one for each role. */
export interface LivingUnit {
  readonly unitId: string;
  readonly replicaIds: readonly string[];
  readonly state: UnitObservation['state'];
  readonly sinceMs: number;
}

export interface Reading {
  readonly atMs: number;
  readonly signals: ServedSignals;
}

/**
 * An observation from two readings of one gateway, the earlier one null at first. The KV cache and the prefill budget are
 * known for all units together and taken as spread evenly. Totals that fell belong to a gateway that was started anew:
 * they count from zero. Where prefill and decode have machines of their own, a unit's batch is the fuller of the two: with
 * the prefill budget beside it, a unit is as full as its fuller pool.
 */
export function observe(
  { atMs, signals: now }: Reading,
  before: Reading | null,
  units: readonly LivingUnit[],
  bounds: Pick<ScalingObservation, 'startupMs' | 'minUnits' | 'maxUnits'>,
): ScalingObservation {
  const windowMs = before === null ? 0 : Math.max(0, atMs - before.atMs);
  const since = (total: (signals: ServedSignals) => number) => {
    if (before === null) return 0;
    const earlier = total(before.signals);
    return total(now) >= earlier ? total(now) - earlier : total(now);
  };
  const serving = units.filter((unit) => unit.state !== 'starting');
  const prefillUs = since((signals) => signals.prefillUs);
  const each = Math.max(1, serving.length);
  const prefillMs = (now.prefillStretch * prefillUs) / 1_000;
  const prefillShare = windowMs === 0 ? 0 : Math.min(1, prefillMs / windowMs / each);
  const kvShare = Math.min(1, now.kvTokensLikely / (now.kvTokensPerUnit * each));
  const count = (state: LivingUnit['state']) => units.filter((unit) => unit.state === state).length;
  const ttfts = since((signals) => signals.ttftCount);
  const tpots = since((signals) => signals.tpotCount);
  return {
    windowMs,
    units: units.map(({ unitId, replicaIds, state, sinceMs }) => {
      const sequences = replicaIds.map((replicaId) => now.runningOn.get(replicaId) ?? 0);
      const running = sequences.reduce((sum, one) => sum + one, 0);
      const shares =
        state === 'starting'
          ? { batchShare: 0, kvShare: 0, prefillShare: 0 }
          : { batchShare: Math.min(1, Math.max(...sequences) / now.batchPerUnit), kvShare, prefillShare };
      return { unitId, state, sinceMs, running, ...shares };
    }),
    startingUnits: count('starting'),
    readyUnits: count('ready'),
    drainingUnits: count('draining'),
    queued: now.queued,
    queuedWorkUs: now.queuedUs,
    arrivals: since((signals) => signals.arrivals),
    arrivedWorkUs: since((signals) => signals.arrivedUs),
    refused: since((signals) => signals.refused),
    completed: since((signals) => signals.completed),
    ttftMsMean: ttfts === 0 ? null : since((signals) => signals.ttftMsSum) / ttfts,
    tpotMsMean: tpots === 0 ? null : since((signals) => signals.tpotMsSum) / tpots,
    ...bounds,
  };
}
