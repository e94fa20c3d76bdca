import { groupAfter } from '../../core/commerce/group.ts';
import { CubitError } from '../../core/errors.ts';
import type { Row } from '../../store/schema.ts';
import { invalidField } from '../input.ts';
import { canonicalJson } from '../json.ts';
import { sha256Hex } from '../operator-token.ts';
import {
  NO_PLAN,
  openLots,
  type Plan,
  planGiveBack,
  planGrowth,
  planMonths,
  planPayBack,
  prepaidMoment,
  termsOf,
  together,
} from '../prepaid/plan.ts';
import { recognisedToMs } from '../prepaid/recognise.ts';
import { bookAt, latestSegment, runningPrice } from '../price-book/book.ts';
import type { Ctx, Trx } from '../verb.ts';
import { checkSame, orderPrice, type Price, quoteChanged } from './price.ts';

/**
 * What an order costs or pays back and what becomes of the term. A preview shows a quote, placing carries one out, and
 * both reckon it here, from the same facts and the same instant: the quote's id names that instant and a hash of every
 * figure, so that placing with it does exactly what was shown, or fails with `quote_changed`.
 */
export interface Quote {
  readonly kind: Row<'orders'>['kind'];
  readonly billingType: 'postpaid' | 'prepaid';
  /** null: a new one. */
  readonly groupId: string | null;
  readonly templateId: string;
  /** After the order. */
  readonly units: number;
  readonly months: number | null;
  /** What is added is priced by this; what is given back by what it was bought at. */
  readonly price: Price;
  /** The instant that prepaid time is reckoned from. */
  readonly atMs: number;
  readonly plan: Plan;
}

/** How long a quote holds. */
export const QUOTE_MS_MAX = 600_000;

export interface WantedUnits {
  readonly tenant: Row<'tenants'>;
  readonly templateId: string;
  readonly units: number;
  readonly billingType: 'postpaid' | 'prepaid';
  readonly months?: number | undefined;
}

export async function quoteNew(trx: Trx, ctx: Ctx, wanted: WantedUnits, askedAtMs: number): Promise<Quote> {
  const { tenant, templateId, units, billingType, months } = wanted;
  const price = await orderPrice(trx, ctx, templateId, askedAtMs);
  const facts = { kind: 'new', billingType, groupId: null, templateId, units, price } as const;
  if (billingType === 'postpaid') {
    if (months !== undefined) throw invalidField('months', 'only prepaid units are bought by the month');
    return { ...facts, months: null, atMs: askedAtMs, plan: NO_PLAN };
  }
  if (months === undefined)
    throw invalidField('months', 'say for how many months: prepaid units are bought by the month');
  const atMs = Math.max(askedAtMs, await recognisedToMs(trx, tenant.id));
  const group = { purchasedAtMs: atMs, monthsPaid: 0, units };
  const plan = planMonths(group, months, { ...tenant, price, nowMs: atMs });
  return { ...facts, months, atMs, plan };
}

interface GroupChange {
  readonly tenant: Row<'tenants'>;
  readonly group: Row<'instance_groups'>;
}

export async function quoteResize(
  trx: Trx,
  ctx: Ctx,
  { tenant, group, units }: GroupChange & { readonly units: number },
  askedAtMs: number,
): Promise<Quote> {
  groupAfter(group.state, 'resize');
  if (units === group.units) throw invalidField('units', `the group has ${group.units} already`);
  const grows = units > group.units;
  const sold = grows ? await orderPrice(trx, ctx, group.template_id, askedAtMs) : null;
  const postpaid = group.billing_type === 'postpaid';
  const price = sold !== null && !postpaid ? sold : await ownPrice(trx, ctx, { tenant, group }, askedAtMs);
  const facts = { ...factsOf(group), kind: 'resize', units, price } as const;
  if (postpaid) return { ...facts, atMs: askedAtMs, plan: NO_PLAN };
  const atMs = await prepaidMoment(trx, group, askedAtMs);
  if (atMs >= (group.expires_at_ms ?? 0)) throw expired(group, 'resized');
  const money = { currency: tenant.currency, price, atMs };
  const plan = grows
    ? planGrowth(await termsOf(trx, group.id), units - group.units, money)
    : planGiveBack(await openLots(trx, group.id), group.units - units, money);
  return { ...facts, atMs, plan };
}

/** Throws `invalid_transition` once the group is reclaimed, or due to be. */
export async function quoteRenew(
  trx: Trx,
  ctx: Pick<Ctx, 'catalog' | 'now'>,
  { tenant, group, months }: GroupChange & { readonly months: number },
  askedAtMs: number,
): Promise<Quote> {
  const { expires_at_ms, reclaim_at_ms } = group;
  if (group.billing_type === 'postpaid' || reclaim_at_ms === null || expires_at_ms === null || group.months === null) {
    throw new CubitError(
      'conflict',
      'Only prepaid groups are renewed; a postpaid group lasts until it is unsubscribed.',
    );
  }
  if (group.state === 'reclaimed' || askedAtMs >= reclaim_at_ms) throw expired(group, 'renewed');
  groupAfter(group.state, 'renew');
  const price = await orderPrice(trx, ctx, group.template_id, askedAtMs);
  const paid = { purchasedAtMs: group.created_at_ms, monthsPaid: group.months, units: group.units };
  const plan = planMonths(paid, months, { ...tenant, price, nowMs: askedAtMs });
  return { ...factsOf(group), kind: 'renew', units: group.units, months, price, atMs: askedAtMs, plan };
}

/** Units that never were ready are paid back whole; for the others the penalty is kept. */
export async function quoteUnsubscribe(
  trx: Trx,
  ctx: Ctx,
  { tenant, group }: GroupChange,
  askedAtMs: number,
): Promise<Quote> {
  groupAfter(group.state, 'unsubscribe');
  const price = await ownPrice(trx, ctx, { tenant, group }, askedAtMs);
  const facts = { ...factsOf(group), kind: 'unsubscribe', units: 0, price } as const;
  if (group.billing_type === 'postpaid') return { ...facts, atMs: askedAtMs, plan: NO_PLAN };
  const atMs = await prepaidMoment(trx, group, askedAtMs);
  const lots = await openLots(trx, group.id);
  const pending = await pendingOrders(trx, group.id);
  const unready = lots.filter((lot) => pending.some((order) => order.id === lot.order_id));
  const others = lots.filter((lot) => !unready.includes(lot));
  const given = others.map((lot) => planGiveBack([lot], lot.units, { currency: tenant.currency, atMs }));
  return { ...facts, atMs, plan: together([planPayBack(unready, tenant), ...given]) };
}

export function pendingOrders(trx: Trx, groupId: string): Promise<Row<'orders'>[]> {
  return trx
    .selectFrom('orders')
    .selectAll()
    .where('group_id', '=', groupId)
    .where('state', '=', 'provisioning')
    .execute();
}

function factsOf(group: Row<'instance_groups'>) {
  const { id: groupId, billing_type: billingType, template_id: templateId } = group;
  return { groupId, billingType, templateId, months: null };
}

/**
 * What the group pays by: what its units cost by the hour, by the month what its last lot did. Throws `quote_changed`
 * when a version of the price book has started for it since it was asked.
 */
async function ownPrice(trx: Trx, ctx: Ctx, { tenant, group }: GroupChange, askedAtMs: number): Promise<Price> {
  const lot = (await openLots(trx, group.id)).at(-1);
  const { prices } = await bookAt(trx, ctx.catalog, askedAtMs);
  const listed = prices.find((price) => price.templateId === group.template_id);
  const rest = {
    monthlyPriceMicros: lot?.monthly_price_micros ?? 0n,
    penalty: lot?.penalty ?? listed?.penalty ?? 1,
    discounts: [],
  };
  if (group.billing_type === 'prepaid') {
    const last = await latestSegment(trx, group.id);
    return { ...rest, hourlyPriceMicros: 0n, version: lot?.price_version ?? last.price_version };
  }
  const priceAt = async (atMs: number) => ({ ...rest, ...(await runningPrice(trx, group, tenant.zone, atMs)) });
  return checkSame(group.template_id, await priceAt(askedAtMs), await priceAt(ctx.now()));
}

function expired(group: Row<'instance_groups'>, what: string): CubitError {
  const [expiresAt, reclaimAt] = [group.expires_at_ms, group.reclaim_at_ms].map((ms) =>
    new Date(ms ?? 0).toISOString(),
  );
  const instead = what === 'renewed' ? 'Order a new group (cubit order new).' : 'Renew it first (cubit order renew).';
  return new CubitError(
    'invalid_transition',
    `The term of ${group.id} ended at ${expiresAt} and its units are taken back at ${reclaimAt}: it cannot be ${what}. ${instead}`,
    { details: { groupId: group.id, expiresAtMs: group.expires_at_ms, reclaimAtMs: group.reclaim_at_ms } },
  );
}

export interface QuoteMoney {
  readonly payMicros: bigint;
  readonly refundMicros: bigint;
  readonly penaltyMicros: bigint;
}

export function moneyOf({ plan }: Pick<Quote, 'plan'>): QuoteMoney {
  return {
    payMicros: plan.buys.reduce((sum, lot) => sum + lot.paidMicros, 0n),
    refundMicros: plan.closes.reduce((sum, close) => sum + close.refundMicros, 0n),
    penaltyMicros: plan.closes.reduce((sum, close) => sum + close.penaltyMicros, 0n),
  };
}

/** Each sum of an order, written out. */
export function arithmeticOf({ plan }: Pick<Quote, 'plan'>): string[] {
  return [...plan.buys, ...plan.closes].map((part) => part.arithmetic);
}

/** `q-<instant>-<hash of every figure>` */
export function quoteIdOf(quotes: readonly Quote[], askedAtMs: number): string {
  return `q-${askedAtMs.toString(36)}-${sha256Hex(canonicalJson(quotes)).slice(0, 32)}`;
}

/** The instant that a quote id names, now when there is none. Throws `quote_changed` when it does not hold any more. */
export function askedAtMsOf(quoteId: string | undefined, nowMs: number): number {
  if (quoteId === undefined) return nowMs;
  const stamp = /^q-([0-9a-z]{1,10})-[0-9a-f]{32}$/.exec(quoteId)?.[1];
  if (stamp === undefined) throw invalidField('quoteId', 'is not one that a preview gave out');
  const askedAtMs = Number.parseInt(stamp, 36);
  if (askedAtMs <= nowMs && nowMs - askedAtMs <= QUOTE_MS_MAX) return askedAtMs;
  throw quoteChanged(
    `it was made at ${new Date(askedAtMs).toISOString()} and holds for ${QUOTE_MS_MAX / 60_000} minutes`,
  );
}

/** Throws `quote_changed` when the figures are not those that the preview showed. */
export function checkQuote(quoteId: string | undefined, quotes: readonly Quote[], askedAtMs: number): void {
  if (quoteId === undefined || quoteId === quoteIdOf(quotes, askedAtMs)) return;
  throw quoteChanged('prices, the group or the order are not what they were');
}

/** Money that is lost has to be seen before: throws `invalid_request` when a penalty was not previewed. */
export function checkAgreed(quoteId: string | undefined, quote: Quote): void {
  if (quoteId !== undefined || moneyOf(quote).penaltyMicros === 0n) return;
  throw invalidField(
    'quoteId',
    `giving back prepaid units has a penalty: see it first (order preview-${quote.kind}), and send its quoteId to agree`,
  );
}
