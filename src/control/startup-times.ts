import type { Template } from '../catalog/schema.ts';
import type { ReplicaStatus } from '../fleet/port.ts';

const STARTS_MAX = 8;

/** How long units of each template take from start to ready: the mean of the last starts, the catalogue's until one was seen. */
export class StartupTimes {
  /** By template, then by start; the oldest are forgotten. */
  readonly #starts = new Map<string, Map<string, number>>();

  learn(replicas: readonly ReplicaStatus[]): void {
    for (const { replicaId, templateId, startedAtMs, readyAtMs } of replicas) {
      if (readyAtMs === null || readyAtMs < startedAtMs) continue;
      const starts = this.#starts.get(templateId) ?? new Map<string, number>();
      this.#starts.set(templateId, starts);
      const start = `${replicaId} ${startedAtMs}`;
      if (!starts.has(start)) starts.set(start, readyAtMs - startedAtMs);
      for (const oldest of starts.keys()) {
        if (starts.size <= STARTS_MAX) break;
        starts.delete(oldest);
      }
    }
  }

  of(template: Pick<Template, 'id' | 'startupMs'>): number {
    const times = [...(this.#starts.get(template.id)?.values() ?? [])];
    if (times.length === 0) return template.startupMs;
    return Math.round(times.reduce((sum, ms) => sum + ms, 0) / times.length);
  }
}
