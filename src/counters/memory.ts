import { exchangeLease, LEASE_MS_MAX, noSharedCapacity, type SharedCapacity } from '../core/serving/shared-capacity.ts';
import type { Counters } from './port.ts';

const KEEP_MS = 120_000;

/** Counters in this process. */
export function memoryCounters(nowMs: () => number): Counters {
  const states = new Map<string, SharedCapacity>();
  const gateways = new Map<string, number>();
  return {
    async exchange(reports) {
      const now = nowMs();
      for (const { report } of reports) gateways.set(report.gatewayId, now);
      for (const [id, atMs] of gateways) if (now - atMs > LEASE_MS_MAX) gateways.delete(id);
      const leases = reports.map(({ servedModelId, report }) => {
        const state = states.get(servedModelId) ?? noSharedCapacity(now);
        // The one that was used last stands last.
        states.delete(servedModelId);
        states.set(servedModelId, state);
        return { ...exchangeLease(state, report, now), gateways: gateways.size };
      });
      for (const [id, { atMs }] of states) {
        if (now - atMs <= KEEP_MS) break;
        states.delete(id);
      }
      return leases;
    },
    async close() {},
  };
}
