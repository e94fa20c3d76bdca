import { z } from 'zod';
import { type BilledGroup, cumulative, cumulativeSeconds } from '../../core/commerce/billing.ts';
import { GROUP_STATES } from '../../core/commerce/group.ts';
import { autoRenewLock, expiryDayOf } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { type Db, isLive } from '../internal.ts';
import { BillingType, Count, EpochMs, Id, Money, money } from '../schemas.ts';
import { readyUnitsOf, replicasById, rolesOf } from '../units.ts';
import type { Ctx } from '../verb.ts';

export const GroupState = z.enum(GROUP_STATES);

const Term = z.object({
  months: Count.describe('Paid for in all'),
  expiryDay: z.string().describe("The last day that is paid for, in the tenant's zone"),
  expiresAtMs: EpochMs.describe('12:00 of the day after'),
  reclaimAtMs: EpochMs.describe('24 h later: until then it serves and can be renewed'),
  autoRenewMonths: Count.nullable().describe('Months of each auto-renewal; null: off'),
  autoRenewLockedFromMs: EpochMs.describe('From here to the expiry it cannot be switched off'),
  autoRenewFailure: z.string().nullable().describe('Why the last try failed'),
});

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
  hourlyPrice: Money.nullable().describe('Of one unit; null when it is prepaid'),
  monthlyPrice: Money.nullable().describe('Of one unit as it was bought last; null when it is postpaid'),
  priceVersion: z.string(),
  createdAtMs: EpochMs,
  billedFromMs: EpochMs.nullable().describe('Success of its first order; null: not billed'),
  endedAtMs: EpochMs.nullable(),
  billedSeconds: Count.describe('So far'),
  billedUnitSeconds: Count.describe('So far: seconds × units'),
  charge: Money.describe('Of these seconds; what is billed already is in the bills. Prepaid: paid less paid back'),
  term: Term.nullable().describe('null when it is postpaid'),
});

export type GroupView = z.output<typeof Group>;

/** Groups with what they cost so far and how many of their units are ready. */
export async function groupViews(
  ctx: Pick<Ctx, 'catalog' | 'fleet' | 'now'>,
  db: Db,
  rows: readonly Row<'instance_groups'>[],
): Promise<GroupView[]> {
  const ids = rows.map((row) => row.id);
  const segments = await segmentsOf(db, ids);
  const paid = await prepaidOf(db, ids);
  const tenants = await tenantsOf(
    db,
    rows.map((row) => row.tenant_id),
  );
  const replicas = replicasById(ctx.fleet.list());
  const nowMs = ctx.now();
  return rows.map((row) => {
    const facts = { segments: segments.get(row.id) ?? [], paid: paid.get(row.id), tenant: tenants.get(row.tenant_id)! };
    const unitsReady = isLive(row.state) ? readyUnitsOf(row, rolesOf(ctx.catalog, row.template_id), replicas) : 0;
    return groupView(row, facts, unitsReady, nowMs);
  });
}

interface GroupFacts {
  readonly segments: readonly Row<'group_segments'>[];
  readonly paid: { readonly monthlyPriceMicros: bigint; readonly chargeMicros: bigint } | undefined;
  readonly tenant: Pick<Row<'tenants'>, 'zone' | 'currency'>;
}

function groupView(
  row: Row<'instance_groups'>,
  { segments, paid, tenant }: GroupFacts,
  unitsReady: number,
  nowMs: number,
): GroupView {
  const { currency } = tenant;
  const latest = segments.at(-1);
  const billed = billedGroup(row, segments);
  const soFar = billed === null ? { unitSeconds: 0, amountMicros: 0n } : cumulative(billed, nowMs);
  const prepaid = row.billing_type === 'prepaid';
  return {
    groupId: row.id,
    tenantId: row.tenant_id,
    endpointId: row.endpoint_id,
    servedModelId: row.served_model_id,
    templateId: row.template_id,
    billingType: row.billing_type,
    state: row.state,
    units: row.units,
    unitsReady,
    hourlyPrice: prepaid ? null : money(latest?.hourly_price_micros ?? 0n, currency),
    monthlyPrice: prepaid ? money(paid?.monthlyPriceMicros ?? 0n, currency) : null,
    priceVersion: latest?.price_version ?? '',
    createdAtMs: row.created_at_ms,
    billedFromMs: row.billed_from_ms,
    endedAtMs: row.ended_at_ms,
    billedSeconds: billed === null ? 0 : cumulativeSeconds(billed, nowMs),
    billedUnitSeconds: soFar.unitSeconds,
    charge: money(prepaid ? (paid?.chargeMicros ?? 0n) : soFar.amountMicros, currency),
    term: termView(row, tenant.zone),
  };
}

function termView(row: Row<'instance_groups'>, zone: string): GroupView['term'] {
  const { expires_at_ms: expiresAtMs, reclaim_at_ms: reclaimAtMs } = row;
  if (expiresAtMs === null || reclaimAtMs === null) return null;
  return {
    months: row.months ?? 0,
    expiryDay: expiryDayOf(expiresAtMs, zone),
    expiresAtMs,
    reclaimAtMs,
    autoRenewMonths: row.auto_renew_months,
    autoRenewLockedFromMs: autoRenewLock({ expiresAtMs, zone }).fromMs,
    autoRenewFailure: row.auto_renew_failure,
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

/** What each prepaid group paid and did not get back: the whole of its open lots, of closed ones what they earned. */
async function prepaidOf(db: Db, groupIds: readonly string[]) {
  if (groupIds.length === 0) return new Map<string, NonNullable<GroupFacts['paid']>>();
  const rows = await db
    .selectFrom('prepaid_lots')
    .leftJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .select(['group_id', 'monthly_price_micros', 'paid_micros', 'earned_micros'])
    .where('group_id', 'in', groupIds)
    .orderBy('created_at_ms')
    .execute();
  return new Map(
    [...Map.groupBy(rows, (row) => row.group_id)].map(([groupId, lots]) => {
      const chargeMicros = lots.reduce((sum, lot) => sum + (lot.earned_micros ?? lot.paid_micros), 0n);
      return [groupId, { chargeMicros, monthlyPriceMicros: lots.at(-1)!.monthly_price_micros }] as const;
    }),
  );
}

async function tenantsOf(db: Db, tenantIds: readonly string[]) {
  const ids = [...new Set(tenantIds)];
  if (ids.length === 0) return new Map<string, GroupFacts['tenant']>();
  const rows = await db.selectFrom('tenants').select(['id', 'zone', 'currency']).where('id', 'in', ids).execute();
  return new Map(rows.map((row) => [row.id, row]));
}
