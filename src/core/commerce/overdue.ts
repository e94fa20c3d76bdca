/**
 * A tenant is overdue from the charge that took its balance below zero. Its postpaid units are kept and billed on for 24
 * hours; it is told at once, 12 hours and 1 hour before they are taken back. Source: DESIGN §7, postpaid.
 */
const HOUR_MS = 3_600_000;
export const OVERDUE_MS = 24 * HOUR_MS;
const NOTICES_BEFORE_MS = [12 * HOUR_MS, HOUR_MS];

export interface OverdueEvent {
  readonly kind: 'notice' | 'reclaim';
  readonly atMs: number;
}

/** What happens to a tenant that stays overdue, strictly after an instant; null after the reclaim. */
export function nextOverdueEvent(sinceMs: number, afterMs: number): OverdueEvent | null {
  const reclaimAtMs = sinceMs + OVERDUE_MS;
  for (const beforeMs of NOTICES_BEFORE_MS) {
    const atMs = reclaimAtMs - beforeMs;
    if (atMs > afterMs) return { kind: 'notice', atMs };
  }
  return reclaimAtMs > afterMs ? { kind: 'reclaim', atMs: reclaimAtMs } : null;
}

/** A top-up clears it when it comes before the reclaim and leaves nothing owed. */
export function isCleared(overdue: { sinceMs: number }, balanceMicros: bigint, nowMs: number): boolean {
  return balanceMicros >= 0n && nowMs < overdue.sinceMs + OVERDUE_MS;
}
