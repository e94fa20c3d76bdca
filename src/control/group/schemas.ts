import { z } from 'zod';
import { type BilledGroup, cumulative, cumulativeSeconds } from '../../core/commerce/billing.ts';
import type { ReplicaStatus } from '../../fleet/port.ts';
import type { Row } from '../../store/schema.ts';
import type { Db } from '../internal.ts';
import { BillingType, Count, EpochMs, Id, Money, money } from '../schemas.ts';
import { readyUnitsOf, replicasById } from '../units.ts';
import type { Ctx } from '../verb.ts';

export const GroupState = z.enum(['provisioning', 'active', 'resizing', 'unsubscribed', 'failed']);

export const Group = z.object({
  groupId: Id,
  tenantId: Id,
  endpointId: Id,
  servedModelId: Id,
  templateId: z.string(),
  billingType: BillingType,
  state: GroupState,
  units: Count.describe('Units it has or is being given'),
  unitsReady: Count,
  hourlyPrice: Money.describe('Of one unit'),
  priceVersion: z.string(),
  createdAtMs: EpochMs,
  billedFromMs: EpochMs.nullable().describe('Success of its first order; null: not billed'),
  endedAtMs: EpochMs.nullable(),
  billedSeconds: Count.describe('So far'),
  billedUnitSeconds: Count.describe('So far: seconds × units'),
  charge: Money.describe('Of these seconds; what is billed already is in the bills'),
});

export type GroupView = z.output<typeof Group>;

/** Groups with what they cost so far and how many of their units are ready. */
export async function groupViews(
  ctx: Pick<Ctx, 'fleet' | 'now'>,
  db: Db,
  rows: readonly Row<'instance_groups'>[],
): Promise<GroupView[]> {
  const segments = await segmentsOf(
    db,
    rows.map((row) => row.id),
  );
  const currencies = await currenciesOf(
    db,
    rows.map((row) => row.tenant_id),
  );
  const replicas = replicasById(ctx.fleet.list());
  const nowMs = ctx.now();
  return rows.map((row) =>
    groupView(row, segments.get(row.id) ?? [], currencies.get(row.tenant_id) ?? '', replicas, nowMs),
  );
}

function groupView(
  row: Row<'instance_groups'>,
  segments: readonly Row<'group_segments'>[],
  currency: string,
  replicas: ReadonlyMap<string, ReplicaStatus>,
  nowMs: number,
): GroupView {
  const latest = segments.at(-1);
  const billed = billedGroup(row, segments);
  const soFar = billed === null ? { unitSeconds: 0, amountMicros: 0n } : cumulative(billed, nowMs);
  const live = row.state !== 'unsubscribed' && row.state !== 'failed';
  return {
    groupId: row.id,
    tenantId: row.tenant_id,
    endpointId: row.endpoint_id,
    servedModelId: row.served_model_id,
    templateId: row.template_id,
    billingType: row.billing_type,
    state: row.state,
    units: row.units,
    unitsReady: live ? readyUnitsOf(row, replicas) : 0,
    hourlyPrice: money(latest?.hourly_price_micros ?? 0n, currency),
    priceVersion: latest?.price_version ?? '',
    createdAtMs: row.created_at_ms,
    billedFromMs: row.billed_from_ms,
    endedAtMs: row.ended_at_ms,
    billedSeconds: billed === null ? 0 : cumulativeSeconds(billed, nowMs),
    billedUnitSeconds: soFar.unitSeconds,
    charge: money(soFar.amountMicros, currency),
  };
}

function billedGroup(row: Row<'instance_groups'>, segments: readonly Row<'group_segments'>[]): BilledGroup | null {
  if (row.billed_from_ms === null) return null;
  return {
    fromMs: row.billed_from_ms,
    endMs: row.ended_at_ms,
    segments: segments.map((segment) => ({
      fromMs: segment.from_ms,
      units: segment.units,
      hourlyPriceMicros: segment.hourly_price_micros,
    })),
  };
}

/** Segments of each group in order of time. */
export async function segmentsOf(
  db: Db,
  groupIds: readonly string[],
): Promise<ReadonlyMap<string, Row<'group_segments'>[]>> {
  if (groupIds.length === 0) return new Map();
  const rows = await db
    .selectFrom('group_segments')
    .selectAll()
    .where('group_id', 'in', groupIds)
    .orderBy('from_ms')
    .orderBy('id')
    .execute();
  return Map.groupBy(rows, (row) => row.group_id);
}

async function currenciesOf(db: Db, tenantIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const ids = [...new Set(tenantIds)];
  if (ids.length === 0) return new Map();
  const rows = await db.selectFrom('tenants').select(['id', 'currency']).where('id', 'in', ids).execute();
  return new Map(rows.map((row) => [row.id, row.currency]));
}
