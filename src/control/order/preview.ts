import { z } from 'zod';
import { type BilledGroup, cumulative, type Segment } from '../../core/commerce/billing.ts';
import { formatPercent } from '../../core/commerce/price-book.ts';
import { clockHourOf } from '../../core/commerce/term.ts';
import type { Row } from '../../store/schema.ts';
import { segmentsOf } from '../group/schemas.ts';
import { BillingType, Count, EpochMs, Id, Money, money } from '../schemas.ts';
import type { Ctx, Trx } from '../verb.ts';
import { freeMicrosOf } from './place.ts';
import { arithmeticOf, moneyOf, QUOTE_MS_MAX, type Quote, quoteIdOf } from './quote.ts';
import { OrderKind } from './schemas.ts';

const NextBill = z.object({
  hourFromMs: EpochMs,
  hourToMs: EpochMs,
  amount: Money.describe("This group's part of the running hour's bill, were the order to take effect now"),
});

export const QuotedOrder = z.object({
  kind: OrderKind,
  billingType: BillingType,
  groupId: Id.nullable().describe('null: a new one'),
  templateId: z.string(),
  units: Count.describe('After the order'),
  months: Count.nullable(),
  payNow: Money.describe('From the wallet'),
  payBack: Money.describe('To the wallet, the penalty taken off'),
  penalty: Money.describe('Kept of the unused money of units that are given back'),
  hourlyPrice: Money.nullable().describe('Postpaid: of one unit'),
  monthlyPrice: Money.nullable().describe('Prepaid: of one unit'),
  discountPercent: z.string().nullable().describe('Prepaid, for the length of the term: off the price; null: none'),
  priceVersion: z.string(),
  arithmetic: z.array(z.string()).describe('Each sum written out'),
  term: z
    .object({ expiryDay: z.string(), expiresAtMs: EpochMs, reclaimAtMs: EpochMs })
    .nullable()
    .describe('What the term becomes; null when it stays as it is'),
  nextBill: NextBill.nullable().describe('Postpaid only: prepaid units are on no bill'),
});

export const Preview = z.object({
  quoteId: Id.describe('Send it when placing: exactly this, or quote_changed'),
  atMs: EpochMs,
  validUntilMs: EpochMs,
  orders: z.array(QuotedOrder),
  payNow: Money,
  payBack: Money,
  walletAvailable: Money.describe('Balance less what was used but not billed yet'),
});

/** Quotes of one tenant for people and programs. */
export async function previewView(
  trx: Trx,
  ctx: Ctx,
  tenant: Row<'tenants'>,
  { quotes, askedAtMs }: { readonly quotes: readonly Quote[]; readonly askedAtMs: number },
): Promise<z.output<typeof Preview>> {
  const orders: z.output<typeof QuotedOrder>[] = [];
  for (const quote of quotes) orders.push(await quotedView(trx, tenant, quote));
  const sums = quotes.map(moneyOf);
  const total = (name: 'payMicros' | 'refundMicros') => sums.reduce((sum, one) => sum + one[name], 0n);
  return {
    quoteId: quoteIdOf(quotes, askedAtMs),
    atMs: askedAtMs,
    validUntilMs: askedAtMs + QUOTE_MS_MAX,
    orders,
    payNow: money(total('payMicros'), tenant.currency),
    payBack: money(total('refundMicros'), tenant.currency),
    walletAvailable: money(await freeMicrosOf(trx, tenant, ctx.now()), tenant.currency),
  };
}

async function quotedView(trx: Trx, tenant: Row<'tenants'>, quote: Quote): Promise<z.output<typeof QuotedOrder>> {
  const { currency } = tenant;
  const { payMicros, refundMicros, penaltyMicros } = moneyOf(quote);
  const { stretch } = quote.plan;
  const prepaid = quote.billingType === 'prepaid';
  const { expiryDay, expiresAtMs, reclaimAtMs } = stretch ?? { expiryDay: '', expiresAtMs: 0, reclaimAtMs: 0 };
  return {
    kind: quote.kind,
    billingType: quote.billingType,
    groupId: quote.groupId,
    templateId: quote.templateId,
    units: quote.units,
    months: quote.months,
    payNow: money(payMicros, currency),
    payBack: money(refundMicros, currency),
    penalty: money(penaltyMicros, currency),
    hourlyPrice: prepaid ? null : money(quote.price.hourlyPriceMicros, currency),
    monthlyPrice: prepaid ? money(quote.price.monthlyPriceMicros, currency) : null,
    discountPercent: discountOf(quote),
    priceVersion: quote.price.version,
    arithmetic: arithmeticOf(quote),
    term: stretch === null ? null : { expiryDay, expiresAtMs, reclaimAtMs },
    nextBill: prepaid ? null : await nextBill(trx, tenant, quote),
  };
}

/** The largest, where units join several terms at once: each sum has its own. */
function discountOf({ plan }: Quote): string | null {
  const percents = plan.buys.map((buy) => buy.percentMillionths);
  const most = percents.toSorted((a, b) => Number(b - a))[0] ?? 0n;
  return most === 0n ? null : formatPercent(most);
}

/** The running clock hour of a postpaid group, with the order's units from now on. */
async function nextBill(trx: Trx, tenant: Row<'tenants'>, quote: Quote): Promise<z.output<typeof NextBill>> {
  const hour = clockHourOf(quote.atMs, tenant.zone);
  const group = await asIfPlaced(trx, quote);
  const before = cumulative(group, hour.fromMs).amountMicros;
  const amountMicros = cumulative(group, hour.toMs).amountMicros - before;
  return { hourFromMs: hour.fromMs, hourToMs: hour.toMs, amount: money(amountMicros, tenant.currency) };
}

async function asIfPlaced(trx: Trx, quote: Quote): Promise<BilledGroup> {
  const { groupId, units, atMs } = quote;
  const placed: Segment = { fromMs: atMs, units, hourlyPriceMicros: quote.price.hourlyPriceMicros };
  if (groupId === null) return { fromMs: atMs, endMs: null, segments: [placed] };
  const { billed_from_ms } = await trx
    .selectFrom('instance_groups')
    .select('billed_from_ms')
    .where('id', '=', groupId)
    .executeTakeFirstOrThrow();
  const segments = ((await segmentsOf(trx, [groupId])).get(groupId) ?? [])
    .filter((segment) => segment.from_ms < atMs)
    .map(({ from_ms, units, hourly_price_micros }) => ({
      fromMs: from_ms,
      units,
      hourlyPriceMicros: hourly_price_micros,
    }));
  const ends = quote.kind === 'unsubscribe';
  if (ends && billed_from_ms === null) return { fromMs: Number.POSITIVE_INFINITY, endMs: null, segments: [] };
  const fromMs = billed_from_ms ?? atMs;
  return { fromMs, endMs: ends ? atMs : null, segments: ends ? segments : [...segments, placed] };
}
