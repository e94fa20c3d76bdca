import { type Account, type Entry, move } from '../../core/commerce/ledger.ts';
import { formatPercent } from '../../core/commerce/price-book.ts';
import type { IdKind } from '../../core/ids.ts';
import { post } from '../../store/ledger.ts';
import type { NewRow, Row } from '../../store/schema.ts';
import { requireTenant } from '../internal.ts';
import type { Price } from '../order/price.ts';
import { noteCredit } from '../overdue/overdue.ts';
import type { Trx } from '../verb.ts';
import type { Close, Plan } from './plan.ts';
import { recognisedMicros, recogniseUntil, scheduleRecognition } from './recognise.ts';

type By = { now(): number; newId(kind: IdKind): string };
type OrderFacts = Pick<Row<'orders'>, 'id' | 'tenant_id' | 'group_id'>;

/** Carries out a plan: terms, lots and closings, and the money between wallet, unearned and revenue. */
export async function applyPlan(
  trx: Trx,
  by: By,
  order: OrderFacts,
  { plan, price, atMs }: { plan: Plan; price: Price; atMs: number },
): Promise<void> {
  await buy(trx, by, order, { plan, price, atMs });
  const memo = plan.closes.map((close) => close.arithmetic).join('; ');
  await closeLots(trx, by, order, { closes: plan.closes, atMs, memo });
  if (plan.buys.length > 0) await scheduleRecognition(trx, await requireTenant(trx, order.tenant_id));
}

async function buy(
  trx: Trx,
  by: By,
  order: OrderFacts,
  { plan, price, atMs }: { plan: Plan; price: Price; atMs: number },
): Promise<void> {
  const { stretch, buys } = plan;
  const owner = { tenant_id: order.tenant_id, group_id: order.group_id, order_id: order.id, created_at_ms: atMs };
  const newTermId = by.newId('term');
  if (stretch !== null) {
    const { fromMs, toMs, expiryDay, months } = stretch;
    const term: NewRow<'prepaid_terms'> = {
      id: newTermId,
      ...owner,
      from_ms: fromMs,
      to_ms: toMs,
      expiry_day: expiryDay,
      months,
    };
    await trx.insertInto('prepaid_terms').values(term).execute();
  }
  for (const lot of buys) {
    await trx
      .insertInto('prepaid_lots')
      .values({
        id: by.newId('lot'),
        ...owner,
        term_id: lot.termId ?? newTermId,
        from_ms: lot.fromMs,
        to_ms: lot.toMs,
        units: lot.units,
        paid_micros: lot.paidMicros,
        monthly_price_micros: price.monthlyPriceMicros,
        penalty: price.penalty,
        price_version: price.version,
        discount_percent: formatPercent(lot.percentMillionths),
        arithmetic: lot.arithmetic,
      })
      .execute();
  }
  const payMicros = buys.reduce((sum, lot) => sum + lot.paidMicros, 0n);
  if (payMicros === 0n) return;
  await post(trx, by, {
    tenantId: order.tenant_id,
    kind: 'prepaid',
    idempotencyKey: `order:${order.id}:pay`,
    memo: buys.map((lot) => lot.arithmetic).join('; '),
    bookedAtMs: atMs,
    entries: move(payMicros, 'wallet', 'unearned'),
  });
}

/**
 * Closes lots: what is refunded goes to the wallet, what is earned and not recognised yet to revenue, what carries on
 * stays unearned in lots of the units that are kept. Days that have passed are recognised first, so that it makes no
 * difference whether their job had come to it.
 */
export async function closeLots(
  trx: Trx,
  by: By,
  order: OrderFacts,
  { closes, atMs, memo }: { closes: readonly Close[]; atMs: number; memo: string },
): Promise<void> {
  if (closes.length === 0) return;
  const tenant = await requireTenant(trx, order.tenant_id);
  await recogniseUntil(trx, by, tenant, atMs);
  let refundMicros = 0n;
  let revenueMicros = 0n;
  for (const close of closes) {
    await insertClosing(trx, by, order, close, atMs);
    refundMicros += close.refundMicros;
    revenueMicros += close.earnedMicros - (await recognisedMicros(trx, close.lot.id));
  }
  await scheduleRecognition(trx, tenant);
  const entries = entriesOf({ wallet: refundMicros, revenue: revenueMicros, unearned: -refundMicros - revenueMicros });
  if (entries.length === 0) return;
  const idempotencyKey = `order:${order.id}:close`;
  await post(trx, by, { tenantId: order.tenant_id, kind: 'refund', idempotencyKey, memo, bookedAtMs: atMs, entries });
  await noteCredit(trx, by, order.tenant_id, atMs);
}

async function insertClosing(trx: Trx, by: By, order: OrderFacts, close: Close, atMs: number): Promise<void> {
  const { lot, rest } = close;
  await trx
    .insertInto('lot_closings')
    .values({
      lot_id: lot.id,
      order_id: order.id,
      at_ms: atMs,
      units: close.units,
      refund_micros: close.refundMicros,
      penalty_micros: close.penaltyMicros,
      earned_micros: close.earnedMicros,
      carried_micros: rest?.paidMicros ?? 0n,
      arithmetic: close.arithmetic,
    })
    .execute();
  if (rest === null) return;
  const { fromMs, toMs, units, paidMicros } = rest;
  const arithmetic = `carried on from ${lot.id}`;
  const money = { paid_micros: paidMicros, arithmetic };
  const next = { ...lot, id: by.newId('lot'), from_ms: fromMs, to_ms: toMs, units, ...money };
  await trx.insertInto('prepaid_lots').values(next).execute();
}

function entriesOf(amounts: Readonly<Partial<Record<Account, bigint>>>): Entry[] {
  const entries = Object.entries(amounts) as [Account, bigint][];
  return entries.flatMap(([account, amountMicros]) => (amountMicros === 0n ? [] : [{ account, amountMicros }]));
}
