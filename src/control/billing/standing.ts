import { type Kysely, sql } from 'kysely';
import type { Database } from '../../store/schema.ts';
import { billedTo, earliest, endedUnbilled } from './groups.ts';

const TENANTS_PER_PAGE = 200;

/** Where a tenant's billing stands. */
export interface Standing {
  readonly id: string;
  readonly zone: string;
  readonly currency: string;
  /** The first instant beyond its last billed hour at which a group may cost something, or null. */
  readonly nextBillableMs: number | null;
  /** Something was used by the token that is on no bill yet. */
  readonly usedTokens: boolean;
}

/** Every tenant in order of id, a page at a time, by a few index look-ups each. */
export async function* standingPages(db: Kysely<Database>): AsyncGenerator<readonly Standing[]> {
  for (let afterId = ''; ; ) {
    const ids = await db
      .selectFrom('tenants')
      .select('id')
      .where('id', '>', afterId)
      .orderBy('id')
      .limit(TENANTS_PER_PAGE)
      .execute();
    if (ids.length === 0) return;
    const tenantIds = ids.map(({ id }) => id);
    yield await standingsOf(db, tenantIds);
    afterId = tenantIds.at(-1)!;
  }
}

/** The standings of these tenants, in order of id. */
export async function standingsOf(db: Kysely<Database>, tenantIds: readonly string[]): Promise<Standing[]> {
  const tenants = db
    .selectFrom('tenants')
    .select(['id', 'zone', 'currency'])
    .select(billedTo)
    .where('id', 'in', tenantIds)
    .as('tenant');
  const rows = await db
    .selectFrom(tenants)
    .select(['id', 'zone', 'currency', 'billed_to_ms'])
    .select((eb) => {
      const started = eb
        .selectFrom('instance_groups')
        .select((group) => group.fn.min<number | null>('billed_from_ms').as('start_ms'))
        .whereRef('tenant_id', '=', 'tenant.id')
        .where('billing_type', '=', 'postpaid')
        .where('billed_from_ms', 'is not', null);
      return [
        started.where('ended_at_ms', 'is', null).as('lasting_ms'),
        started.where(endedUnbilled(sql.ref('tenant.billed_to_ms'))).as('ended_ms'),
        eb
          .selectFrom('token_usage')
          .select((usage) => usage.fn.min<number | null>('quarter_ms').as('quarter_ms'))
          .whereRef('token_usage.tenant_id', '=', 'tenant.id')
          .as('usage_ms'),
      ];
    })
    .orderBy('id')
    .execute();
  return rows.map(({ id, zone, currency, billed_to_ms, ...starts }) => {
    const startMs = earliest([starts.lasting_ms, starts.ended_ms, starts.usage_ms]);
    const nextBillableMs = startMs === null ? null : Math.max(billed_to_ms, startMs);
    return { id, zone, currency, nextBillableMs, usedTokens: starts.usage_ms !== null };
  });
}
