import type { Outcome } from '../core/serving/outcome.ts';
import { totalUs } from '../core/serving/work.ts';
import type { Exchange } from './exchange.ts';

/** What scaling is told of a served model besides what its admission holds now. All of it only grows. */
export interface SignalTotals {
  /** Requests that ended in any way, and the work that was estimated for them, unit-microseconds. */
  arrivals: number;
  arrivedUs: number;
  /** Of them: refused for want of capacity, or out of time waiting. */
  refused: number;
  completed: number;
  /** Prefill that was done. */
  prefillUs: number;
  /** Waiting included. */
  ttftMsSum: number;
  ttftCount: number;
  tpotMsSum: number;
  tpotCount: number;
}

const REFUSED: ReadonlySet<Outcome> = new Set(['rejected_capacity', 'rejected_unready', 'expired']);

export function noSignals(): SignalTotals {
  return {
    arrivals: 0,
    arrivedUs: 0,
    refused: 0,
    completed: 0,
    prefillUs: 0,
    ttftMsSum: 0,
    ttftCount: 0,
    tpotMsSum: 0,
    tpotCount: 0,
  };
}

/** Counts a request that ended. */
export function addSignals(totals: SignalTotals, exchange: Exchange): void {
  const { outcome, estimate, actual, ttftMs, tpotMs, waitMs } = exchange;
  totals.arrivals += 1;
  if (estimate !== null) totals.arrivedUs += totalUs(estimate.work);
  if (REFUSED.has(outcome)) totals.refused += 1;
  if (outcome === 'completed') totals.completed += 1;
  totals.prefillUs += actual.prefillUs;
  if (ttftMs !== null) {
    totals.ttftMsSum += waitMs + ttftMs;
    totals.ttftCount += 1;
  }
  if (tpotMs !== null) {
    totals.tpotMsSum += tpotMs;
    totals.tpotCount += 1;
  }
}
