import type { Fleet } from '../fleet/port.ts';
import type { ControlLog } from './call.ts';

const FIRST_WAIT_MS = 5_000;
const WAIT_MS_MAX = 300_000;

/**
 * A paid unit whose replica the fleet gave up is cleared away and started anew, at growing intervals, for as long as it
 * is paid. Clearing makes it `stopped`; starting those is the provisioner's ordinary work.
 */
export class Revival {
  readonly #fleet: Fleet;
  readonly #log: ControlLog;
  readonly #waits = new Map<string, { waitMs: number; notBeforeMs: number }>();

  constructor(fleet: Fleet, log: ControlLog) {
    this.#fleet = fleet;
    this.#log = log;
  }

  tryAgain(replicaId: string, nowMs: number): void {
    const last = this.#waits.get(replicaId);
    if (last !== undefined && nowMs < last.notBeforeMs) return;
    const waitMs = last === undefined ? FIRST_WAIT_MS : Math.min(last.waitMs * 2, WAIT_MS_MAX);
    this.#waits.set(replicaId, { waitMs, notBeforeMs: nowMs + waitMs });
    this.#log.error({ replicaId, nextTryMs: waitMs }, 'a paid unit failed; it is started anew');
    this.#fleet.stop(replicaId, 0).catch((error: unknown) => {
      this.#log.error({ err: error, replicaId }, 'a failed unit could not be cleared away');
    });
  }

  isWell(replicaId: string): void {
    this.#waits.delete(replicaId);
  }

  forgetAllBut(replicaIds: ReadonlySet<string>): void {
    for (const replicaId of this.#waits.keys()) if (!replicaIds.has(replicaId)) this.#waits.delete(replicaId);
  }
}
