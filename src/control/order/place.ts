import type { Template } from '../../catalog/schema.ts';
import { formatMicros } from '../../core/commerce/money.ts';
import { nextTermEvents, type PrepaidTerm } from '../../core/commerce/term.ts';
import { CubitError } from '../../core/errors.ts';
import type { Role } from '../../fleet/port.ts';
import { balanceMicros } from '../../store/ledger.ts';
import type { Row } from '../../store/schema.ts';
import { unbilled } from '../billing/schemas.ts';
import { type FirstRule, placeFirstRule } from '../elastic/first.ts';
import { segmentsOf } from '../group/schemas.ts';
import { LIVE_GROUP_STATES } from '../internal.ts';
import { livePools, poolSpecs } from '../pool/pools.ts';
import { applyPlan } from '../prepaid/apply.ts';
import { replicasById, rolesOf, specsOf } from '../units.ts';
import type { Ctx, Trx } from '../verb.ts';
import { admitPurchase } from './admit.ts';
import { orderThrough } from './move.ts';
import type { Price } from './price.ts';
import { arithmeticOf, moneyOf, type Quote } from './quote.ts';

/** Throws `unsupported_feature` for a template whose units cannot be: adopted servers pair, but none is a cache worker. */
export function checkSellable(template: Template): void {
  const { kind, engine } = template;
  if (kind !== 'three_type' || engine.kind === 'llama') return;
  throw new CubitError(
    'unsupported_feature',
    `Units of ${template.id} have a cache worker, which only the embedded engine has: choose a template of prefill and decode.`,
    { details: { param: 'templateId' } },
  );
}

/**
 * The wallet has to hold, beyond what was used but not billed yet, what is paid now and one hour of all postpaid units
 * that the tenant has or is being given. Called when the group's rows are written and before it is paid: what it throws
 * undoes them. Throws `payment_required` with what is missing.
 */
export async function checkWallet(
  trx: Trx,
  tenant: Row<'tenants'>,
  { payMicros, nowMs }: { readonly payMicros: bigint; readonly nowMs: number },
): Promise<void> {
  const hourMicros = await hourOfAllUnits(trx, tenant.id);
  const neededMicros = payMicros + hourMicros;
  const freeMicros = await freeMicrosOf(trx, tenant, nowMs);
  if (freeMicros >= neededMicros || neededMicros === 0n) return;
  const { currency } = tenant;
  const [pay, hour, needed] = [payMicros, hourMicros, neededMicros].map(formatMicros);
  const [available, missing] = [freeMicros, neededMicros - freeMicros].map(formatMicros);
  const now = `This costs ${pay} ${currency} now`;
  const hourly = `One hour of your units, these included, costs ${hour} ${currency}`;
  const costs = payMicros === 0n ? hourly : hourMicros === 0n ? now : `${now}; o${hourly.slice(1)}`;
  throw new CubitError(
    'payment_required',
    `${costs} and the wallet has ${available} available: top up ${missing} ${currency} or more.`,
    { details: { needed, available, missing, currency } },
  );
}

/** Balance less what was used but not billed yet. */
export async function freeMicrosOf(trx: Trx, tenant: Row<'tenants'>, nowMs: number): Promise<bigint> {
  const { totalMicros } = await unbilled(trx, tenant, nowMs);
  return (await balanceMicros(trx, tenant.id)) - totalMicros;
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
  { catalog, fleet }: Pick<Ctx, 'catalog' | 'fleet'>,
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
  const roles = rolesOf(catalog, templateId);
  const unstarted = await unstartedReplicas(trx, fleet, { templateId, roles });
  const freeUnits = Math.max(0, Math.floor((free - unstarted) / roles.length));
  if (unitsAdded <= freeUnits) return;
  throw new CubitError(
    'capacity_exhausted',
    `${unitsAdded} more units of ${templateId} do not fit, ${freeUnits} do. What limits it: ${limit}.`,
    { details: { templateId, freeUnits, limit } },
  );
}

async function unstartedReplicas(
  trx: Trx,
  fleet: Ctx['fleet'],
  { templateId, roles }: { readonly templateId: string; readonly roles: readonly Role[] },
): Promise<number> {
  const groups = await trx
    .selectFrom('instance_groups')
    .select(['id', 'served_model_id', 'template_id', 'units'])
    .where('template_id', '=', templateId)
    .where('state', 'in', LIVE_GROUP_STATES)
    .execute();
  const pools = (await livePools(trx)).filter((pool) => pool.template_id === templateId);
  const replicas = replicasById(fleet.list());
  const started = (replicaId: string) => (replicas.get(replicaId)?.state ?? 'stopped') !== 'stopped';
  const specs = [...groups.flatMap((group) => specsOf(group, roles)), ...pools.flatMap(poolSpecs)];
  return specs.filter((spec) => !started(spec.replicaId)).length;
}

/**
 * Places an order for a new group of a served model: checks what it has to pass, capacity and wallet, and writes group,
 * price and order. The price is the quote's; the first segment keeps it, whenever the order succeeds.
 */
export async function placeNewOrder(
  trx: Trx,
  ctx: Ctx,
  wanted: {
    readonly tenant: Row<'tenants'>;
    readonly served: Pick<Row<'served_models'>, 'id' | 'endpoint_id'>;
    readonly autoRenewMonths?: number | undefined;
    readonly elastic?: FirstRule | undefined;
    readonly agreementVersion?: string | undefined;
  },
  quote: Quote,
): Promise<{ order: Row<'orders'>; group: Row<'instance_groups'> }> {
  const { tenant, served } = wanted;
  const { billingType, templateId, units, price, atMs } = quote;
  const { agreementVersion, elastic } = wanted;
  // What a rule promises counts as if it were there.
  const unitsAdded = Math.max(units, elastic?.maxUnits ?? 0);
  await admitPurchase(trx, ctx, { tenantId: tenant.id, templateId, unitsAdded, agreementVersion });
  await checkCapacity(trx, ctx, templateId, units);
  const group: Row<'instance_groups'> = {
    id: ctx.newId('group'),
    tenant_id: tenant.id,
    endpoint_id: served.endpoint_id,
    served_model_id: served.id,
    template_id: templateId,
    billing_type: billingType,
    units,
    state: 'provisioning',
    created_at_ms: atMs,
    billed_from_ms: null,
    ended_at_ms: null,
    months: quote.months,
    ...termColumns(quote.plan.stretch, tenant.zone, atMs),
    auto_renew_months: wanted.autoRenewMonths ?? null,
    auto_renew_failure: null,
  };
  await trx.insertInto('instance_groups').values(group).execute();
  if (elastic !== undefined) await placeFirstRule(trx, ctx, { group, zone: tenant.zone, elastic });
  await insertSegment(trx, ctx, { groupId: group.id, fromMs: atMs, units, price: segmentPrice(group, price) });
  await checkWallet(trx, tenant, { payMicros: moneyOf(quote).payMicros, nowMs: ctx.now() });
  const order = await insertOrder(trx, ctx, group, { quote, done: false });
  return { order, group };
}

/** Where a prepaid group's paid time ends, and when its calendar comes to it next. */
export function termColumns(dates: PrepaidTerm | null, zone: string, nowMs: number) {
  if (dates === null) return { expires_at_ms: null, reclaim_at_ms: null, next_due_ms: null };
  const next = nextTermEvents({ ...dates, zone }, nowMs);
  return { expires_at_ms: dates.expiresAtMs, reclaim_at_ms: dates.reclaimAtMs, next_due_ms: next?.atMs ?? null };
}

/** A prepaid group has nothing to pay by the hour; its segments say only how many units it had when. */
export function segmentPrice(group: Pick<Row<'instance_groups'>, 'billing_type'>, price: SegmentPrice): SegmentPrice {
  return group.billing_type === 'postpaid' ? price : { ...price, hourlyPriceMicros: 0n };
}

type SegmentPrice = Pick<Price, 'hourlyPriceMicros' | 'version'>;

export async function insertSegment(
  trx: Trx,
  ctx: Pick<Ctx, 'newId'>,
  segment: { groupId: string; fromMs: number; units: number; price: SegmentPrice },
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

/**
 * Writes an order and what it pays or pays back. A postpaid order has nothing to pay up front; a prepaid one is paid from
 * the wallet at once. Either is in provisioning as it is placed, or `done` at once.
 */
export async function insertOrder(
  trx: Trx,
  ctx: Pick<Ctx, 'now' | 'newId'>,
  group: Row<'instance_groups'>,
  { quote, done }: { readonly quote: Quote; readonly done: boolean },
): Promise<Row<'orders'>> {
  const nowMs = ctx.now();
  const { payMicros, refundMicros } = moneyOf(quote);
  const row: Row<'orders'> = {
    id: ctx.newId('order'),
    tenant_id: group.tenant_id,
    kind: quote.kind,
    billing_type: group.billing_type,
    endpoint_id: group.endpoint_id,
    served_model_id: group.served_model_id,
    group_id: group.id,
    units: quote.units,
    months: quote.months,
    amount_micros: payMicros - refundMicros,
    price_version: quote.price.version,
    arithmetic: arithmeticOf(quote).join('; ') || null,
    state: orderThrough(['place', 'pay', 'provision', ...(done ? (['succeed'] as const) : [])]),
    failure: null,
    created_at_ms: nowMs,
    updated_at_ms: nowMs,
    succeeded_at_ms: done ? nowMs : null,
  };
  await trx.insertInto('orders').values(row).execute();
  await applyPlan(trx, ctx, row, quote);
  return row;
}
