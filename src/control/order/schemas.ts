import { z } from 'zod';
import type { Row } from '../../store/schema.ts';
import { Group, groupViews } from '../group/schemas.ts';
import { BillingType, Count, EpochMs, Id, Money, money } from '../schemas.ts';
import type { Ctx, Trx } from '../verb.ts';

export const OrderKind = z.enum(['new', 'resize', 'renew', 'unsubscribe']);
export const OrderStates = z.enum([
  'draft',
  'pending_payment',
  'paid',
  'provisioning',
  'active',
  'cancelled',
  'failed',
]);

export const Order = z.object({
  orderId: Id,
  tenantId: Id,
  kind: OrderKind,
  billingType: BillingType,
  endpointId: Id,
  servedModelId: Id,
  groupId: Id,
  units: Count.describe('Units the group has when the order succeeds'),
  months: Count.nullable().describe('Prepaid: months that it buys'),
  amount: Money.describe('Prepaid: taken from the wallet as it was placed; negative: paid back'),
  priceVersion: z.string().nullable().describe('Of the price book'),
  arithmetic: z.string().nullable().describe('The sums that it paid or paid back, written out'),
  state: OrderStates,
  failure: z.string().nullable(),
  createdAtMs: EpochMs,
  updatedAtMs: EpochMs,
  succeededAtMs: EpochMs.nullable(),
});

export function orderView(row: Row<'orders'>, currency: string): z.output<typeof Order> {
  return {
    orderId: row.id,
    tenantId: row.tenant_id,
    kind: row.kind,
    billingType: row.billing_type,
    endpointId: row.endpoint_id,
    servedModelId: row.served_model_id,
    groupId: row.group_id,
    units: row.units,
    months: row.months,
    amount: money(row.amount_micros, currency),
    priceVersion: row.price_version,
    arithmetic: row.arithmetic,
    state: OrderStates.parse(row.state),
    failure: row.failure,
    createdAtMs: row.created_at_ms,
    updatedAtMs: row.updated_at_ms,
    succeededAtMs: row.succeeded_at_ms,
  };
}

/** What placing an order answers. */
export const Placed = z.object({ order: Order, group: Group });

export async function placedView(
  ctx: Ctx,
  trx: Trx,
  placed: { order: Row<'orders'>; group: Row<'instance_groups'> },
): Promise<z.output<typeof Placed>> {
  const [group] = await groupViews(ctx, trx, [placed.group]);
  return { order: orderView(placed.order, group!.charge.currency), group: group! };
}
