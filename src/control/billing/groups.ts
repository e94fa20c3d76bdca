import { type ExpressionBuilder, type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { BilledGroup, Cumulative } from '../../core/commerce/billing.ts';
import type { Database } from '../../store/schema.ts';

/** A postpaid group with what was billed for it so far. */
export interface OpenGroup {
  readonly groupId: string;
  readonly endpointId: string;
  readonly billed: BilledGroup;
  /** The totals on its last line. */
  readonly before: Cumulative;
}

/** Where a tenant's billing stands: the end of its last billed hour, 0 before the first. Read from an index. */
export async function billedToMs(db: Kysely<Database>, tenantId: string): Promise<number> {
  const tenant = await db.selectFrom('tenants').select(billedTo).where('id', '=', tenantId).executeTakeFirst();
  return tenant?.billed_to_ms ?? 0;
}

/** The same for many, by tenant. */
export async function billedToOf(
  db: Kysely<Database>,
  tenantIds: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const rows = await db.selectFrom('tenants').select('id').select(billedTo).where('id', 'in', tenantIds).execute();
  return new Map(rows.map((row) => [row.id, row.billed_to_ms]));
}

/** The first instant from `fromMs` on at which the tenant may owe something, by a group or by the token; or null. */
export async function nextBillableMs(db: Kysely<Database>, tenantId: string, fromMs: number): Promise<number | null> {
  const started = db
    .selectFrom('instance_groups')
    .select('billed_from_ms')
    .where('tenant_id', '=', tenantId)
    .where('billing_type', '=', 'postpaid')
    .where('billed_from_ms', 'is not', null);
  const lasting = started.where('ended_at_ms', 'is', null);
  const first = await db
    .selectFrom(lasting.unionAll(started.where(endedUnbilled(sql`${fromMs}`))).as('billable'))
    .select((eb) => eb.fn.min<number | null>('billed_from_ms').as('start_ms'))
    .executeTakeFirst();
  const used = await db
    .selectFrom('token_usage')
    .select((eb) => eb.fn.min<number | null>('quarter_ms').as('quarter_ms'))
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst();
  const startMs = earliest([first?.start_ms, used?.quarter_ms]);
  return startMs === null ? null : Math.max(startMs, fromMs);
}

/** By tenant: the groups that have started and did not end before what is billed. In order of their start. */
export async function openGroups(
  db: Kysely<Database>,
  tenantIds: readonly string[],
): Promise<ReadonlyMap<string, readonly OpenGroup[]>> {
  const rows = await openRows(db, tenantIds).execute();
  const groups = Array.from(
    Map.groupBy(rows, (row) => row.group_id),
    ([groupId, parts]) => {
      const { tenant_id, endpoint_id, billed_from_ms, ended_at_ms, ...line } = parts[0]!;
      const segments = parts.map((part) => ({
        fromMs: part.from_ms,
        units: part.units,
        hourlyPriceMicros: part.hourly_price_micros,
        priceVersion: part.price_version,
      }));
      const billed = { fromMs: billed_from_ms!, endMs: ended_at_ms, segments };
      const before = { unitSeconds: line.line_unit_seconds ?? 0, amountMicros: line.line_micros ?? 0n };
      return { tenantId: tenant_id, group: { groupId, endpointId: endpoint_id, billed, before } };
    },
  );
  const byTenant = Map.groupBy(groups, (one) => one.tenantId);
  return new Map(Array.from(byTenant, ([tenantId, own]) => [tenantId, own.map((one) => one.group)]));
}

/**
 * One row a segment. Two ranges of one index, so that the groups of years past are not read, and one look-up for each
 * total of a group's last line.
 */
function openRows(db: Kysely<Database>, tenantIds: readonly string[]) {
  const tenants = db.selectFrom('tenants').select('id').select(billedTo).where('id', 'in', tenantIds).as('tenant');
  const started = db
    .selectFrom(tenants)
    .innerJoin('instance_groups', 'instance_groups.tenant_id', 'tenant.id')
    .where('billing_type', '=', 'postpaid')
    .where('billed_from_ms', 'is not', null)
    .select(['instance_groups.id', 'tenant_id', 'endpoint_id', 'billed_from_ms', 'ended_at_ms']);
  const lasting = started.where('ended_at_ms', 'is', null);
  const ended = started.where(endedUnbilled(sql.ref('tenant.billed_to_ms')));
  return db
    .selectFrom(lasting.unionAll(ended).as('open'))
    .innerJoin('group_segments', 'group_segments.group_id', 'open.id')
    .leftJoin('billed_totals', 'billed_totals.group_id', 'open.id')
    .select(['tenant_id', 'endpoint_id', 'billed_from_ms', 'ended_at_ms'])
    .select(['group_segments.group_id', 'from_ms', 'units', 'hourly_price_micros', 'price_version'])
    .select(['billed_totals.unit_seconds as line_unit_seconds', 'billed_totals.amount_micros as line_micros'])
    .orderBy('billed_from_ms')
    .orderBy('group_segments.group_id')
    .orderBy('from_ms');
}

export function earliest(instantsMs: readonly (number | null | undefined)[]): number | null {
  const known = instantsMs.filter((ms) => ms !== null && ms !== undefined);
  return known.length === 0 ? null : Math.min(...known);
}

/** For selections from `tenants`: the end of the last billed hour, 0 before the first. */
export function billedTo(eb: ExpressionBuilder<Database, 'tenants'>) {
  const last = eb
    .selectFrom('bills')
    .select('hour_to_ms')
    .whereRef('bills.tenant_id', '=', 'tenants.id')
    .orderBy('hour_from_ms', 'desc')
    .limit(1);
  return eb.fn.coalesce(last, sql.lit(0)).as('billed_to_ms');
}

/** Ended beyond what is billed, or (its one second) right there. */
export function endedUnbilled(billedToMs: RawBuilder<unknown>): RawBuilder<SqlBool> {
  return sql<SqlBool>`ended_at_ms >= ${billedToMs} and (ended_at_ms > ${billedToMs} or billed_from_ms >= ${billedToMs})`;
}
