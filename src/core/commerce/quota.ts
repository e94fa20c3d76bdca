/**
 * Quota: how many units of one template a tenant may hold at once, of all billing types together. Counted are units that
 * it has or is being given, and the headroom that its elastic rules promise it beyond those: a rule may not promise more
 * than the quota. A limit below what is held takes nothing away; it only lets nothing more in.
 */
export interface Holding {
  readonly units: number;
  /** Beyond `units`, what scaling out may add: an elastic rule's maximum less the units there are. */
  readonly headroomUnits: number;
}

/** Where a limit comes from, the nearest that says one: the tenant's own, its template's, the platform's. */
export type LimitSource = 'tenant' | 'template' | 'platform' | 'none';

export interface QuotaLimit {
  /** null: no limit but the machines. */
  readonly limitUnits: number | null;
  readonly source: LimitSource;
}

export interface QuotaUse {
  readonly limitUnits: number | null;
  readonly usedUnits: number;
  readonly headroomUnits: number;
  /** What may still be ordered, never below 0; null without a limit. */
  readonly freeUnits: number | null;
}

export function quotaLimit(says: {
  readonly tenant: number | null;
  readonly template: number | null;
  readonly platform: number | null;
}): QuotaLimit {
  for (const source of ['tenant', 'template', 'platform'] as const) {
    if (says[source] !== null) return { limitUnits: says[source], source };
  }
  return { limitUnits: null, source: 'none' };
}

export function quotaUse(limitUnits: number | null, holdings: readonly Holding[]): QuotaUse {
  const usedUnits = holdings.reduce((sum, holding) => sum + holding.units, 0);
  const headroomUnits = holdings.reduce((sum, holding) => sum + holding.headroomUnits, 0);
  const freeUnits = limitUnits === null ? null : Math.max(0, limitUnits - usedUnits - headroomUnits);
  return { limitUnits, usedUnits, headroomUnits, freeUnits };
}

/** Whether so many units more (at least one) stay within the limit. */
export function fitsQuota({ freeUnits }: Pick<QuotaUse, 'freeUnits'>, unitsAdded: number): boolean {
  return freeUnits === null || unitsAdded <= freeUnits;
}
