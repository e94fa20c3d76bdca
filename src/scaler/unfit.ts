import { addedReplicaIds, type ElasticUnit } from '../control/elastic/units.ts';
import type { Role } from '../fleet/port.ts';

/** A ready unit that gateways keep out for so long, half a dozen trials included, will not come back by itself. */
export const UNFIT_MS_MAX = 120_000;

export interface UnfitUnit {
  readonly unit: ElasticUnit;
  /** For people. */
  readonly failure: string;
}

/**
 * Finds added units of one group that their fleet calls ready and that serve nothing, by what gateways say of their
 * machines. One in two minutes: where all look bad the fault may be elsewhere, and then replacing all would help nobody.
 */
export class UnfitUnits {
  readonly #sinceMs = new Map<string, number>();

  /** The one to replace now; null: none. */
  find(
    units: readonly ElasticUnit[],
    roles: readonly Role[],
    unfit: ReadonlyMap<string, string>,
    nowMs: number,
  ): UnfitUnit | null {
    if (unfit.size === 0) {
      this.#sinceMs.clear();
      return null;
    }
    const bad = units.flatMap((unit) => {
      if (unit.state !== 'ready') return [];
      const reasons = addedReplicaIds(unit, roles).flatMap((replicaId) => unfit.get(replicaId) ?? []);
      return reasons[0] === undefined ? [] : [{ unit, reason: reasons[0] }];
    });
    const ids = new Set(bad.map(({ unit }) => unit.id));
    for (const id of this.#sinceMs.keys()) if (!ids.has(id)) this.#sinceMs.delete(id);
    for (const id of ids) if (!this.#sinceMs.has(id)) this.#sinceMs.set(id, nowMs);
    const worst = bad.find(({ unit }) => nowMs - this.#sinceMs.get(unit.id)! >= UNFIT_MS_MAX);
    if (worst === undefined) return null;
    this.#sinceMs.clear();
    const seconds = UNFIT_MS_MAX / 1_000;
    return {
      unit: worst.unit,
      failure: `Its fleet said that it is ready, but gateways kept it out for ${seconds} s (${worst.reason}).`,
    };
  }
}
