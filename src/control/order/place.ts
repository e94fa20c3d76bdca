import type { Template } from '../../catalog/schema.ts';
import { formatMicros, parseMicros } from '../../core/commerce/money.ts';
import { CubitError } from '../../core/errors.ts';
import { balanceMicros } from '../../store/ledger.ts';
import type { Row } from '../../store/schema.ts';
import { unbilled } from '../billing/schemas.ts';
import { segmentsOf } from '../group/schemas.ts';
import { LIVE_GROUP_STATES } from '../internal.ts';
import { replicasById, specsOf } from '../units.ts';
import type { Ctx, Trx } from '../verb.ts';
import { orderThrough } from './move.ts';

export interface Price {
  /** Of one unit. */
  readonly hourlyPriceMicros: bigint;
  /** Of the price book. */
  readonly version: string;
}

/** Throws `unsupported_feature` for what is not sold in this release. */
export function checkSellable(template: Template, billingType: 'postpaid' | 'prepaid'): void {
  if (billingType === 'prepaid') {
    throw new CubitError(
      'unsupported_feature',
      'Prepaid orders are not offered in this release. Order postpaid units.',
      {
        details: { param: 'billingType' },
      },
    );
  }
  if (template.kind !== 'single') {
    throw new CubitError(
      'unsupported_feature',
      `Template ${template.id} is disaggregated; this release provisions single-machine templates only.`,
      { details: { param: 'templateId' } },
    );
  }
}

/** The price now. Throws `unsupported_feature` when the template is not for sale. */
export function priceOf(catalog: Ctx['catalog'], templateId: string): Price {
  const { prices, version } = catalog.priceBook;
  const price = prices.find((row) => row.templateId === templateId);
  if (price === undefined) {
    throw new CubitError(
      'unsupported_feature',
      `Template ${templateId} is not for sale: price book ${version} has no price.`,
      {
        details: { param: 'templateId' },
      },
    );
  }
  return { hourlyPriceMicros: parseMicros(price.hourly), version };
}

/**
 * The wallet has to hold one hour of all units that the tenant has or is being given, beyond what was used but not
 * billed yet. Called when the order's rows are written: what it throws undoes them. Throws `payment_required` with what
 * is missing.
 */
export async function checkWallet(trx: Trx, tenant: Row<'tenants'>, nowMs: number): Promise<void> {
  const hourMicros = await hourOfAllUnits(trx, tenant.id);
  const { totalMicros } = await unbilled(trx, tenant, nowMs);
  const freeMicros = (await balanceMicros(trx, tenant.id)) - totalMicros;
  if (freeMicros >= hourMicros) return;
  const { currency } = tenant;
  const [needed, available, missing] = [hourMicros, freeMicros, hourMicros - freeMicros].map(formatMicros);
  throw new CubitError(
    'payment_required',
    `One hour of your units, these included, costs ${needed} ${currency} and the wallet has ${available} available: top up ${missing} ${currency} or more.`,
    { details: { needed, available, missing, currency } },
  );
}

async function hourOfAllUnits(trx: Trx, tenantId: string): Promise<bigint> {
  const groups = await trx
    .selectFrom('instance_groups')
    .select(['id', 'units'])
    .where('tenant_id', '=', tenantId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  const segments = await segmentsOf(
    trx,
    groups.map((group) => group.id),
  );
  const hours = groups.map(({ id, units }) => BigInt(units) * (segments.get(id)?.at(-1)?.hourly_price_micros ?? 0n));
  return hours.reduce((sum, hour) => sum + hour, 0n);
}

/** Throws `capacity_exhausted` with what limits it. Units that are sold but not started yet count as taken. */
export async function checkCapacity(
  trx: Trx,
  fleet: Ctx['fleet'],
  templateId: string,
  unitsAdded: number,
): Promise<void> {
  if (!fleet.serves(templateId)) {
    throw new CubitError(
      'capacity_exhausted',
      `No machine here runs template ${templateId}. Adopt a server for it (cubit adopt URL), or choose another template.`,
      { details: { templateId, freeUnits: 0 } },
    );
  }
  const { free, limit } = fleet.capacity(templateId);
  const freeUnits = Math.max(0, free - (await unstartedUnits(trx, fleet, templateId)));
  if (unitsAdded <= freeUnits) return;
  throw new CubitError(
    'capacity_exhausted',
    `${unitsAdded} more units of ${templateId} do not fit, ${freeUnits} do. What limits it: ${limit}.`,
    { details: { templateId, freeUnits, limit } },
  );
}

async function unstartedUnits(trx: Trx, fleet: Ctx['fleet'], templateId: string): Promise<number> {
  const groups = await trx
    .selectFrom('instance_groups')
    .select(['id', 'served_model_id', 'template_id', 'units'])
    .where('template_id', '=', templateId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  const replicas = replicasById(fleet.list());
  const started = (replicaId: string) => (replicas.get(replicaId)?.state ?? 'stopped') !== 'stopped';
  return groups.flatMap(specsOf).filter((spec) => !started(spec.replicaId)).length;
}

/**
 * Places an order for a new group of a served model: checks price, wallet and capacity, then writes group, price and
 * order. The price is the one of this moment; the first segment keeps it, whenever the order succeeds.
 */
export async function placeNewOrder(
  trx: Trx,
  ctx: Ctx,
  wanted: {
    readonly tenant: Row<'tenants'>;
    readonly served: Pick<Row<'served_models'>, 'id' | 'endpoint_id'>;
    readonly template: Template;
    readonly units: number;
    readonly billingType: 'postpaid' | 'prepaid';
  },
): Promise<{ order: Row<'orders'>; group: Row<'instance_groups'> }> {
  const { tenant, served, template, units, billingType } = wanted;
  checkSellable(template, billingType);
  const price = priceOf(ctx.catalog, template.id);
  await checkCapacity(trx, ctx.fleet, template.id, units);
  const nowMs = ctx.now();
  const group: Row<'instance_groups'> = {
    id: ctx.newId('group'),
    tenant_id: tenant.id,
    endpoint_id: served.endpoint_id,
    served_model_id: served.id,
    template_id: template.id,
    billing_type: billingType,
    units,
    state: 'provisioning',
    created_at_ms: nowMs,
    billed_from_ms: null,
    ended_at_ms: null,
  };
  await trx.insertInto('instance_groups').values(group).execute();
  await insertSegment(trx, ctx, { groupId: group.id, fromMs: nowMs, units, price });
  const order = await insertOrder(trx, ctx, group, { kind: 'new', units, done: false });
  return { order, group };
}

export async function insertSegment(
  trx: Trx,
  ctx: Pick<Ctx, 'newId'>,
  segment: { groupId: string; fromMs: number; units: number; price: Price },
): Promise<void> {
  await trx
    .insertInto('group_segments')
    .values({
      id: ctx.newId('segment'),
      group_id: segment.groupId,
      from_ms: segment.fromMs,
      units: segment.units,
      hourly_price_micros: segment.price.hourlyPriceMicros,
      price_version: segment.price.version,
    })
    .execute();
}

/** A postpaid order has nothing to pay up front: it is in provisioning as it is placed, or `done` at once. */
export async function insertOrder(
  trx: Trx,
  ctx: Ctx,
  group: Row<'instance_groups'>,
  order: { kind: Row<'orders'>['kind']; units: number; done: boolean },
): Promise<Row<'orders'>> {
  const nowMs = ctx.now();
  const row: Row<'orders'> = {
    id: ctx.newId('order'),
    tenant_id: group.tenant_id,
    kind: order.kind,
    billing_type: group.billing_type,
    endpoint_id: group.endpoint_id,
    served_model_id: group.served_model_id,
    group_id: group.id,
    units: order.units,
    state: orderThrough(['place', 'pay', 'provision', ...(order.done ? (['succeed'] as const) : [])]),
    failure: null,
    created_at_ms: nowMs,
    updated_at_ms: nowMs,
    succeeded_at_ms: order.done ? nowMs : null,
  };
  await trx.insertInto('orders').values(row).execute();
  return row;
}

export async function latestSegment(trx: Trx, groupId: string): Promise<Row<'group_segments'>> {
  return trx
    .selectFrom('group_segments')
    .selectAll()
    .where('group_id', '=', groupId)
    .orderBy('from_ms', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
}
