import type { ScalingObservation } from '../core/serving/scaling.ts';

/** What a gateway tells of a served model (`GatewayStats`); totals only grow while it lives. */
export interface ServedSignals {
  readonly servedModelId: string;
  readonly batchPerUnit: number;
  readonly kvTokensPerUnit: number;
  readonly kvTokens: number;
  readonly queued: number;
  readonly queuedUs: number;
  readonly refusedUs: number;
  readonly prefillUs: number;
  readonly ttftMsP95: number | null;
  readonly tpotMsP95: number | null;
  readonly runningOn: ReadonlyMap<string, number>;
}

export interface UnitCounts {
  readonly readyUnits: number;
  readonly startingUnits: number;
  readonly drainingUnits: number;
}

/**
 * An observation from two readings, the earlier one null at first. A unit is as full as the fullest of: its decode batch;
 * the KV cache and the prefill budget, which are known for all units together and taken as spread evenly. Totals that
 * fell belong to a gateway that was started anew, and count from zero.
 */
export function observe(
  atMs: number,
  now: ServedSignals,
  before: { readonly atMs: number; readonly signals: ServedSignals } | null,
  counts: UnitCounts,
): ScalingObservation {
  const units = counts.readyUnits + counts.drainingUnits;
  const spanUs = before === null ? 0 : Math.max(1, atMs - before.atMs) * 1_000;
  const since = (total: number, earlier: number | undefined) =>
    earlier === undefined ? 0 : total >= earlier ? total - earlier : total;
  const prefill = spanUs === 0 ? 0 : since(now.prefillUs, before?.signals.prefillUs) / spanUs / Math.max(1, units);
  const kv = now.kvTokens / (now.kvTokensPerUnit * Math.max(1, units));
  let occupancy = 0;
  let running = 0;
  const onEach = [...now.runningOn.values()];
  for (let unit = 0; unit < units; unit++) {
    const own = onEach[unit] ?? 0;
    running += own;
    occupancy += Math.min(1, Math.max(own / now.batchPerUnit, kv, prefill));
  }
  const { queued, queuedUs, ttftMsP95, tpotMsP95 } = now;
  const refusedUs = since(now.refusedUs, before?.signals.refusedUs);
  return { atMs, ...counts, occupancy, running, queued, queuedUs, refusedUs, ttftMsP95, tpotMsP95 };
}
