import { sql } from 'kysely';
import type { Trx } from '../verb.ts';

export interface GroupSum {
  readonly groupId: string;
  readonly billingType: 'postpaid' | 'prepaid';
  readonly unitSeconds: number | null;
  readonly costMicros: bigint;
}

/** What each group of a tenant added to revenue between two instants: by bills issued, by days earned, by units given back. */
export async function groupSums(
  trx: Trx,
  tenantId: string,
  span: { readonly fromMs: number; readonly toMs: number },
): Promise<GroupSum[]> {
  const billed = await trx
    .selectFrom('bills')
    .innerJoin('bill_lines', 'bill_lines.bill_id', 'bills.id')
    .where('bills.tenant_id', '=', tenantId)
    .where('issued_at_ms', '>=', span.fromMs)
    .where('issued_at_ms', '<', span.toMs)
    .select((eb) => [
      'group_id',
      sql<number>`cast(${eb.fn.sum('unit_seconds')} as bigint)`.as('unit_seconds'),
      sql<bigint>`cast(${eb.fn.sum('bill_lines.amount_micros')} as bigint)`.as('sum_micros'),
    ])
    .groupBy('group_id')
    .orderBy('group_id')
    .execute();
  const prepaid = new Map<string, bigint>();
  for (const { group_id, sum_micros } of [
    ...(await earned(trx, tenantId, span)),
    ...(await closed(trx, tenantId, span)),
  ])
    prepaid.set(group_id, (prepaid.get(group_id) ?? 0n) + sum_micros);
  return [
    ...billed.map(
      (row): GroupSum => ({
        groupId: row.group_id,
        billingType: 'postpaid',
        unitSeconds: row.unit_seconds,
        costMicros: row.sum_micros,
      }),
    ),
    ...[...prepaid]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([groupId, costMicros]): GroupSum => ({ groupId, billingType: 'prepaid', unitSeconds: null, costMicros })),
  ];
}

/** A midnight ends its day: that of a month's first instant belongs to the month before. */
async function earned(trx: Trx, tenantId: string, span: { fromMs: number; toMs: number }) {
  return trx
    .selectFrom('recognitions')
    .innerJoin('recognition_lines', 'recognition_lines.recognition_id', 'recognitions.id')
    .innerJoin('prepaid_lots', 'prepaid_lots.id', 'recognition_lines.lot_id')
    .where('recognitions.tenant_id', '=', tenantId)
    .where('recognitions.to_ms', '>', span.fromMs)
    .where('recognitions.to_ms', '<=', span.toMs)
    .select((eb) => [
      'group_id',
      sql<bigint>`cast(${eb.fn.sum('recognition_lines.amount_micros')} as bigint)`.as('sum_micros'),
    ])
    .groupBy('group_id')
    .execute();
}

/** What closed lots earned beyond their days. */
async function closed(trx: Trx, tenantId: string, span: { fromMs: number; toMs: number }) {
  const lots = await trx
    .selectFrom('lot_closings')
    .innerJoin('prepaid_lots', 'prepaid_lots.id', 'lot_closings.lot_id')
    .where('tenant_id', '=', tenantId)
    .where('at_ms', '>=', span.fromMs)
    .where('at_ms', '<', span.toMs)
    .select((eb) => [
      'group_id',
      'earned_micros',
      eb.fn
        .coalesce(
          eb
            .selectFrom('recognition_lines')
            .whereRef('recognition_lines.lot_id', '=', 'lot_closings.lot_id')
            .select((line) => line.fn.max<bigint>('amount_total_micros').as('total_micros')),
          sql<bigint>`0`,
        )
        .as('recognised_micros'),
    ])
    .execute();
  return lots.map((lot) => ({
    group_id: lot.group_id,
    sum_micros: lot.earned_micros - BigInt(lot.recognised_micros ?? 0n),
  }));
}
