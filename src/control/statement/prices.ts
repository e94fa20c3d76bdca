import { z } from 'zod';
import { segmentsOf } from '../group/schemas.ts';
import { Money, money } from '../schemas.ts';
import type { Trx } from '../verb.ts';
import type { GroupSum } from './groups.ts';

export const StatedPrice = z.object({
  priceVersion: z.string().describe('Of the price book'),
  price: Money.describe('Of one unit'),
  per: z.enum(['hour', 'month']),
  discountPercent: z.string().nullable().describe('Off it, for the length of the term'),
});
type StatedPrice = z.output<typeof StatedPrice>;

/** By group: the prices that what it cost in the span was reckoned by, in order of time. */
export async function statedPrices(
  trx: Trx,
  tenant: { readonly id: string; readonly currency: string },
  groups: readonly GroupSum[],
  span: { readonly fromMs: number; readonly toMs: number },
): Promise<ReadonlyMap<string, StatedPrice[]>> {
  const idsOf = (type: GroupSum['billingType']) =>
    groups.filter(({ billingType }) => billingType === type).map(({ groupId }) => groupId);
  const prices = [
    ...(await hourlyPrices(trx, tenant, idsOf('postpaid'), span)),
    ...(await monthlyPrices(trx, tenant, idsOf('prepaid'), span)),
  ];
  return new Map(
    [...Map.groupBy(prices, ({ groupId }) => groupId)].map(([groupId, own]) => {
      const distinct = new Map(own.map(({ stated }) => [JSON.stringify(stated), stated]));
      return [groupId, [...distinct.values()]];
    }),
  );
}

/** Of the hours whose bills were issued in the span. */
async function hourlyPrices(
  trx: Trx,
  { id, currency }: { id: string; currency: string },
  groupIds: readonly string[],
  span: { fromMs: number; toMs: number },
) {
  const hours = await trx
    .selectFrom('bills')
    .select((eb) => [
      eb.fn.min<number | null>('hour_from_ms').as('from_ms'),
      eb.fn.max<number | null>('hour_to_ms').as('to_ms'),
    ])
    .where('tenant_id', '=', id)
    .where('issued_at_ms', '>=', span.fromMs)
    .where('issued_at_ms', '<', span.toMs)
    .executeTakeFirst();
  const [fromMs, toMs] = [hours?.from_ms ?? 0, hours?.to_ms ?? 0];
  const segments = await segmentsOf(trx, groupIds);
  return [...segments].flatMap(([groupId, own]) =>
    own
      .filter((segment, index) => segment.from_ms < toMs && (own[index + 1]?.from_ms ?? toMs) > fromMs)
      .map((segment) => ({
        groupId,
        stated: {
          priceVersion: segment.price_version,
          price: money(segment.hourly_price_micros, currency),
          per: 'hour' as const,
          discountPercent: null,
        },
      })),
  );
}

/** Of lots that were earned in the span. */
async function monthlyPrices(
  trx: Trx,
  { currency }: { currency: string },
  groupIds: readonly string[],
  span: { fromMs: number; toMs: number },
) {
  if (groupIds.length === 0) return [];
  const lots = await trx
    .selectFrom('prepaid_lots')
    .select(['group_id', 'price_version', 'monthly_price_micros', 'discount_percent'])
    .where('group_id', 'in', groupIds)
    .where('from_ms', '<', span.toMs)
    .where('to_ms', '>', span.fromMs)
    .orderBy('from_ms')
    .orderBy('id')
    .execute();
  return lots.map((lot) => ({
    groupId: lot.group_id,
    stated: {
      priceVersion: lot.price_version,
      price: money(lot.monthly_price_micros, currency),
      per: 'month' as const,
      discountPercent: lot.discount_percent === '0' ? null : lot.discount_percent,
    },
  }));
}
