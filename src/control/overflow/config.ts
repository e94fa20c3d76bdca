import { z } from 'zod';
import { dayStartMs, monthAt, monthOf, nextMidnightMs } from '../../core/commerce/term.ts';
import { SPILL_REASONS } from '../../gateway/overflow-snapshot.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { MaxWaitMs, OverflowPolicy } from '../schemas.ts';

/** What an endpoint's row in `overflows` says. */
export const OverflowConfig = z.strictObject({
  allow: z.array(OverflowPolicy).max(3).describe('What a request may ask for with x-cubit-overflow'),
  /** `ep-…`, `up-…`. */
  targets: z.array(z.string()).max(8),
  reasons: z.array(z.enum(SPILL_REASONS)).max(3),
  spillAfterMs: MaxWaitMs,
  budget: z.strictObject({ micros: z.int().min(0), period: z.enum(['day', 'month']) }).nullable(),
});
export type OverflowConfig = z.output<typeof OverflowConfig>;

export const NO_OVERFLOW: OverflowConfig = {
  allow: [],
  targets: [],
  reasons: [...SPILL_REASONS],
  spillAfterMs: 0,
  budget: null,
};

export function configOf(row: Row<'overflows'>): OverflowConfig {
  return OverflowConfig.parse(JSON.parse(row.config_json));
}

export async function overflowOf(db: Db, endpointId: string): Promise<OverflowConfig | null> {
  const row = await db.selectFrom('overflows').selectAll().where('endpoint_id', '=', endpointId).executeTakeFirst();
  return row === undefined ? null : configOf(row);
}

/** The day or month of the tenant's zone that an instant lies in. */
export function budgetPeriod(
  period: 'day' | 'month',
  atMs: number,
  zone: string,
): { readonly fromMs: number; readonly toMs: number } {
  if (period === 'month') return monthOf(monthAt(atMs, zone), zone);
  return { fromMs: dayStartMs(atMs, zone), toMs: nextMidnightMs(atMs, zone) };
}
