import type { Kysely } from 'kysely';
import { insertGroup, insertTenant } from '../../control/billing/fixture.ts';
import type { Database } from '../../store/schema.ts';

/** Midnight of a month's first day in Shanghai. */
export const START_MS = Date.parse('2026-04-01T00:00:00+08:00');
export const HOUR_MS = 3_600_000;

/**
 * Tenants with groups that have run since `START_MS` and never end, written as the verbs would have: `groupsPerTenant`
 * postpaid groups of 1 to 4 units at prices that leave fractions of a micro, every third resized within its first hour.
 */
export async function insertWorld(
  db: Kysely<Database>,
  size: { readonly tenants: number; readonly groupsPerTenant: number },
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    for (let t = 0; t < size.tenants; t++) {
      const tenantId = `t-${String(t).padStart(6, '0')}`;
      await insertTenant(trx, tenantId);
      for (let g = 0; g < size.groupsPerTenant; g++) {
        const hourlyPriceMicros = 3_600_001n + BigInt(37 * t + g);
        const segments = [{ fromMs: START_MS, units: 1 + ((t + g) % 4), hourlyPriceMicros }];
        if (g % 3 === 0) segments.push({ fromMs: START_MS + 1_234_567, units: 2, hourlyPriceMicros });
        await insertGroup(trx, tenantId, { id: `ig-${t}-${g}`, fromMs: START_MS, endMs: null, segments });
      }
    }
  });
}
