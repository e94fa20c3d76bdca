import { billLine } from '../../core/commerce/billing.ts';
import { dayStartMs } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { billedToMs, openGroups } from '../billing/groups.ts';
import type { Db } from '../internal.ts';
import type { Span } from './supply.ts';

type Tenant = Pick<Row<'tenants'>, 'id' | 'zone' | 'currency'>;

/** Money charged for a served model's units and a span of time. */
export interface Cost extends Span {
  readonly servedModelId: string;
  readonly costMicros: bigint;
  /** False for what a tenant forgoes as it gives units back early: no time is bought with it. */
  readonly forTime: boolean;
}

const HOUR_MS_MAX = 5_400_000;

/**
 * What was charged for times that ended in (fromMs, toMs]: hours that were billed, prepaid days that were earned, and
 * the last day of prepaid units that were given back.
 */
export async function chargedCosts(db: Db, tenant: Tenant, span: Span): Promise<Cost[]> {
  return [
    ...(await billedHours(db, tenant, span)),
    ...(await earnedDays(db, tenant, span)),
    ...(await givenBack(db, tenant, span)),
  ];
}

async function billedHours(db: Db, tenant: Tenant, span: Span): Promise<Cost[]> {
  const rows = await db
    .selectFrom('bills')
    .innerJoin('bill_lines', 'bill_lines.bill_id', 'bills.id')
    .innerJoin('instance_groups', 'instance_groups.id', 'bill_lines.group_id')
    .where('bills.tenant_id', '=', tenant.id)
    // The index is by the hour's start.
    .where('hour_from_ms', '>=', span.fromMs - HOUR_MS_MAX)
    .where('hour_from_ms', '<', span.toMs)
    .where('hour_to_ms', '>', span.fromMs)
    .where('hour_to_ms', '<=', span.toMs)
    .select(['hour_from_ms', 'hour_to_ms', 'served_model_id', 'bill_lines.amount_micros'])
    .execute();
  return rows.map((row) => ({
    servedModelId: row.served_model_id,
    fromMs: row.hour_from_ms,
    toMs: row.hour_to_ms,
    costMicros: row.amount_micros,
    forTime: true,
  }));
}

async function earnedDays(db: Db, tenant: Tenant, span: Span): Promise<Cost[]> {
  const rows = await db
    .selectFrom('recognitions')
    .innerJoin('recognition_lines', 'recognition_lines.recognition_id', 'recognitions.id')
    .innerJoin('prepaid_lots', 'prepaid_lots.id', 'recognition_lines.lot_id')
    .innerJoin('instance_groups', 'instance_groups.id', 'prepaid_lots.group_id')
    .where('recognitions.tenant_id', '=', tenant.id)
    .where('recognitions.to_ms', '>', span.fromMs)
    .where('recognitions.to_ms', '<=', span.toMs)
    .select(['recognitions.to_ms', 'served_model_id', 'recognition_lines.amount_micros'])
    .execute();
  return rows.map((row) => ({
    servedModelId: row.served_model_id,
    fromMs: dayStartMs(row.to_ms - 1, tenant.zone),
    toMs: row.to_ms,
    costMicros: row.amount_micros,
    forTime: true,
  }));
}

async function givenBack(db: Db, tenant: Tenant, span: Span): Promise<Cost[]> {
  const rows = await db
    .selectFrom('prepaid_lots')
    .innerJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .innerJoin('instance_groups', 'instance_groups.id', 'prepaid_lots.group_id')
    .where('prepaid_lots.tenant_id', '=', tenant.id)
    .where('to_ms', '>', span.fromMs)
    .where('at_ms', '>', span.fromMs)
    .where('at_ms', '<=', span.toMs)
    .select(['prepaid_lots.id', 'served_model_id', 'at_ms', 'earned_micros', 'penalty_micros'])
    .select((eb) =>
      eb
        .selectFrom('recognition_lines')
        .whereRef('recognition_lines.lot_id', '=', 'prepaid_lots.id')
        .select((line) => line.fn.max<bigint>('amount_total_micros').as('total_micros'))
        .as('recognised_micros'),
    )
    .execute();
  return rows.flatMap((row) => {
    const time = {
      servedModelId: row.served_model_id,
      fromMs: dayStartMs(row.at_ms - 1, tenant.zone),
      toMs: row.at_ms,
    };
    const usedMicros = row.earned_micros - row.penalty_micros - BigInt(row.recognised_micros ?? 0n);
    return [
      { ...time, costMicros: usedMicros, forTime: true },
      { ...time, costMicros: row.penalty_micros, forTime: false },
    ];
  });
}

/** What was used since the last bill and after `afterMs`, up to `atMs`, as the next bills will count it. */
export async function unbilledCosts(db: Db, tenant: Tenant, afterMs: number, atMs: number): Promise<Cost[]> {
  const billedMs = await billedToMs(db, tenant.id);
  const fromMs = Math.max(billedMs, afterMs);
  if (fromMs >= atMs) return [];
  const groups = (await openGroups(db, [tenant.id])).get(tenant.id) ?? [];
  if (groups.length === 0) return [];
  const served = await db
    .selectFrom('instance_groups')
    .select(['id', 'served_model_id'])
    .where(
      'id',
      'in',
      groups.map(({ groupId }) => groupId),
    )
    .execute();
  const servedOf = new Map(served.map((row) => [row.id, row.served_model_id]));
  return groups.map(({ groupId, billed, before }) => {
    const owed = (untilMs: number) =>
      billLine(billed, { ...before, billedToMs: billedMs }, untilMs, tenant.currency)?.amountMicros ?? 0n;
    const costMicros = owed(atMs) - (fromMs > billedMs ? owed(fromMs) : 0n);
    return { servedModelId: servedOf.get(groupId) ?? '', fromMs, toMs: atMs, costMicros, forTime: true };
  });
}
