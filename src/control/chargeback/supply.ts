import { type BilledGroup, termsBetween } from '../../core/commerce/billing.ts';
import type { Db } from '../internal.ts';

/** [fromMs, toMs) */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Lot extends Span {
  readonly units: number;
}

/** What a tenant's units could do, by served model: from when units were bought, not from bills, so that it never changes later. */
export interface Supply {
  readonly endpoints: ReadonlyMap<string, string>;
  /** Unit-microseconds of work in a span. */
  suppliedUs(servedModelId: string, span: Span): bigint;
}

/** Of the units that there were in a span; `endpointId` null: of all endpoints. */
export async function readSupply(db: Db, tenantId: string, endpointId: string | null, span: Span): Promise<Supply> {
  const served = await db
    .selectFrom('served_models')
    .innerJoin('endpoints', 'endpoints.id', 'served_models.endpoint_id')
    .where('endpoints.tenant_id', '=', tenantId)
    .$if(endpointId !== null, (query) => query.where('endpoints.id', '=', endpointId ?? ''))
    .select(['served_models.id', 'endpoint_id'])
    .execute();
  const postpaid = await postpaidGroups(db, tenantId, span);
  const lots = await prepaidLots(db, tenantId, span);
  return {
    endpoints: new Map(served.map((row) => [row.id, row.endpoint_id])),
    suppliedUs(servedModelId, { fromMs, toMs }) {
      let us = 0n;
      for (const group of postpaid.get(servedModelId) ?? []) {
        for (const { seconds, units } of termsBetween(group, fromMs, toMs)) us += BigInt(seconds * units) * 1_000_000n;
      }
      for (const lot of lots.get(servedModelId) ?? []) {
        const ms = Math.min(toMs, lot.toMs) - Math.max(fromMs, lot.fromMs);
        if (ms > 0) us += BigInt(ms * lot.units) * 1000n;
      }
      return us;
    },
  };
}

async function postpaidGroups(db: Db, tenantId: string, span: Span): Promise<ReadonlyMap<string, BilledGroup[]>> {
  const rows = await db
    .selectFrom('instance_groups')
    .innerJoin('group_segments', 'group_segments.group_id', 'instance_groups.id')
    .where('tenant_id', '=', tenantId)
    .where('billing_type', '=', 'postpaid')
    .where('billed_from_ms', '<', span.toMs)
    .where((eb) => eb.or([eb('ended_at_ms', 'is', null), eb('ended_at_ms', '>=', span.fromMs)]))
    .select([
      'group_id',
      'served_model_id',
      'billed_from_ms',
      'ended_at_ms',
      'from_ms',
      'group_segments.units',
      'hourly_price_micros',
    ])
    .orderBy('group_id')
    .orderBy('from_ms')
    .execute();
  const groups = new Map<string, BilledGroup[]>();
  for (const parts of Map.groupBy(rows, (row) => row.group_id).values()) {
    const { served_model_id: served, billed_from_ms, ended_at_ms } = parts[0]!;
    const segments = parts.map(({ from_ms: fromMs, units, hourly_price_micros: hourlyPriceMicros }) => ({
      fromMs,
      units,
      hourlyPriceMicros,
    }));
    const group = { fromMs: billed_from_ms ?? 0, endMs: ended_at_ms, segments };
    groups.set(served, [...(groups.get(served) ?? []), group]);
  }
  return groups;
}

async function prepaidLots(db: Db, tenantId: string, span: Span): Promise<ReadonlyMap<string, Lot[]>> {
  const rows = await db
    .selectFrom('prepaid_lots')
    .innerJoin('instance_groups', 'instance_groups.id', 'prepaid_lots.group_id')
    .leftJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .where('prepaid_lots.tenant_id', '=', tenantId)
    .where('to_ms', '>', span.fromMs)
    .where('from_ms', '<', span.toMs)
    .select(['served_model_id', 'from_ms', 'to_ms', 'prepaid_lots.units', 'at_ms'])
    .execute();
  return Map.groupBy(
    rows.map((row) => ({
      served: row.served_model_id,
      fromMs: row.from_ms,
      toMs: row.at_ms ?? row.to_ms,
      units: row.units,
    })),
    (lot) => lot.served,
  );
}
