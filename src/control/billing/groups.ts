import { type Kysely, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { BilledGroup, Cumulative } from '../../core/commerce/billing.ts';
import type { Database } from '../../store/schema.ts';

const TENANTS_PER_PAGE = 200;

/** A postpaid group with what was billed for it so far. */
export interface OpenGroup {
  readonly groupId: string;
  readonly endpointId: string;
  readonly billed: BilledGroup;
  readonly before: Cumulative;
}

/** Where a tenant's billing stands: the end of its last billed hour, 0 before the first. Read from an index. */
export async function billedToMs(db: Kysely<Database>, tenantId: string): Promise<number> {
  const last = await db
    .selectFrom('bills')
    .select('hour_to_ms')
    .where('tenant_id', '=', tenantId)
    .orderBy('hour_from_ms', 'desc')
    .limit(1)
    .executeTakeFirst();
  return last?.hour_to_ms ?? 0;
}

/** Where a tenant's billing stands. */
export interface Standing {
  readonly id: string;
  readonly zone: string;
  readonly currency: string;
  /** The first instant beyond its last billed hour at which a group may cost something, or null. */
  readonly nextBillableMs: number | null;
}

/** Every tenant in order of id, read a page at a time by index look-ups. */
export async function* standings(db: Kysely<Database>): AsyncGenerator<Standing> {
  for (let afterId = ''; ; ) {
    const page = await standingsAfter(db, afterId);
    yield* page;
    if (page.length < TENANTS_PER_PAGE) return;
    afterId = page.at(-1)!.id;
  }
}

async function standingsAfter(db: Kysely<Database>, afterId: string): Promise<Standing[]> {
  const billed = db
    .selectFrom('tenants')
    .select(['id', 'zone', 'currency'])
    .select((eb) =>
      eb.fn
        .coalesce(
          eb
            .selectFrom('bills')
            .select('hour_to_ms')
            .whereRef('bills.tenant_id', '=', 'tenants.id')
            .orderBy('hour_from_ms', 'desc')
            .limit(1),
          sql.lit(0),
        )
        .as('billed_to_ms'),
    )
    .where('id', '>', afterId)
    .orderBy('id')
    .limit(TENANTS_PER_PAGE)
    .as('tenant');
  const rows = await db
    .selectFrom(billed)
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
      ];
    })
    .orderBy('id')
    .execute();
  return rows.map(({ id, zone, currency, billed_to_ms, lasting_ms, ended_ms }) => {
    const starts = [lasting_ms, ended_ms].filter((startMs) => startMs !== null);
    return {
      id,
      zone,
      currency,
      nextBillableMs: starts.length === 0 ? null : Math.max(billed_to_ms, Math.min(...starts)),
    };
  });
}

/** The first instant from `fromMs` on at which a group of the tenant may cost something, or null. */
export async function nextBillableMs(db: Kysely<Database>, tenantId: string, fromMs: number): Promise<number | null> {
  const first = await billable(db, tenantId, fromMs)
    .select((eb) => eb.fn.min<number | null>('billed_from_ms').as('start_ms'))
    .executeTakeFirst();
  const startMs = first?.start_ms ?? null;
  return startMs === null ? null : Math.max(startMs, fromMs);
}

/** Groups that started before `toMs` and did not end before `fromMs`. */
export async function openGroups(
  db: Kysely<Database>,
  tenantId: string,
  span: { fromMs: number; toMs: number },
): Promise<OpenGroup[]> {
  const rows = await billable(db, tenantId, span.fromMs)
    .innerJoin('group_segments', 'group_segments.group_id', 'billable.id')
    .where('billed_from_ms', '<', span.toMs)
    .select(['endpoint_id', 'billed_from_ms', 'ended_at_ms'])
    .select(['group_id', 'from_ms', 'units', 'hourly_price_micros'])
    .orderBy('billed_from_ms')
    .orderBy('group_id')
    .orderBy('from_ms')
    .execute();
  const groups: OpenGroup[] = [];
  for (const [groupId, parts] of Map.groupBy(rows, (row) => row.group_id)) {
    const { endpoint_id, billed_from_ms, ended_at_ms } = parts[0]!;
    const segments = parts.map((part) => ({
      fromMs: part.from_ms,
      units: part.units,
      hourlyPriceMicros: part.hourly_price_micros,
    }));
    const billed = { fromMs: billed_from_ms!, endMs: ended_at_ms, segments };
    groups.push({ groupId, endpointId: endpoint_id, billed, before: await billedBefore(db, groupId) });
  }
  return groups;
}

/** Two ranges of one index, so that the groups of years past are not read. */
function billable(db: Kysely<Database>, tenantId: string, fromMs: number) {
  const started = db
    .selectFrom('instance_groups')
    .select(['id', 'endpoint_id', 'billed_from_ms', 'ended_at_ms'])
    .where('tenant_id', '=', tenantId)
    .where('billing_type', '=', 'postpaid')
    .where('billed_from_ms', 'is not', null);
  const lasting = started.where('ended_at_ms', 'is', null);
  return db.selectFrom(lasting.unionAll(started.where(endedUnbilled(sql`${fromMs}`))).as('billable'));
}

/** Ended beyond what is billed, or (its one second) right there. */
function endedUnbilled(billedTo: RawBuilder<unknown>): RawBuilder<SqlBool> {
  return sql<SqlBool>`ended_at_ms >= ${billedTo} and (ended_at_ms > ${billedTo} or billed_from_ms >= ${billedTo})`;
}

/** The totals on the group's last line. */
async function billedBefore(db: Kysely<Database>, groupId: string): Promise<Cumulative> {
  const line = await db
    .selectFrom('bill_lines')
    .select(['unit_seconds_total', 'amount_total_micros'])
    .where('group_id', '=', groupId)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return { unitSeconds: line?.unit_seconds_total ?? 0, amountMicros: line?.amount_total_micros ?? 0n };
}
