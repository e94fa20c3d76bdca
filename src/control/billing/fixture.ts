import type { Kysely } from 'kysely';
import type { Segment } from '../../core/commerce/billing.ts';
import type { Database } from '../../store/schema.ts';

/** Rows for billing tests, written as the verbs would have. */
export async function insertTenant(db: Kysely<Database>, id: string, zone = 'Asia/Shanghai'): Promise<void> {
  await db.insertInto('tenants').values({ id, name: id, zone, currency: 'CNY', created_at_ms: 0 }).execute();
  const endpoint = {
    id: `ep-${id}`,
    tenant_id: id,
    name: 'demo',
    access_mode: 'model_units' as const,
    overflow_policy: 'queue' as const,
    max_wait_ms: 0,
    created_at_ms: 0,
    deleted_at_ms: null,
  };
  await db.insertInto('endpoints').values(endpoint).execute();
  const served = {
    id: `sm-${id}`,
    endpoint_id: endpoint.id,
    tenant_id: id,
    model_id: 'm',
    template_id: 'tpl',
    coefficient: 1,
    traffic_percent: 100,
    created_at_ms: 0,
  };
  await db.insertInto('served_models').values(served).execute();
}

export async function insertGroup(
  db: Kysely<Database>,
  tenantId: string,
  group: { id: string; fromMs: number | null; endMs: number | null; segments: readonly Segment[] },
): Promise<void> {
  await db
    .insertInto('instance_groups')
    .values({
      id: group.id,
      tenant_id: tenantId,
      endpoint_id: `ep-${tenantId}`,
      served_model_id: `sm-${tenantId}`,
      template_id: 'tpl',
      billing_type: 'postpaid',
      units: group.segments.at(-1)?.units ?? 1,
      state: group.endMs === null ? 'active' : 'unsubscribed',
      created_at_ms: 0,
      billed_from_ms: group.fromMs,
      ended_at_ms: group.endMs,
    })
    .execute();
  for (const segment of group.segments) await insertSegment(db, group.id, segment);
}

export async function insertSegment(db: Kysely<Database>, groupId: string, segment: Segment): Promise<void> {
  await db
    .insertInto('group_segments')
    .values({
      id: `seg-${groupId}-${segment.fromMs}`,
      group_id: groupId,
      from_ms: segment.fromMs,
      units: segment.units,
      hourly_price_micros: segment.hourlyPriceMicros,
      price_version: 'v1',
    })
    .execute();
}
