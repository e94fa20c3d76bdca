import type { Kysely } from 'kysely';
import { formatMicros } from '../../core/commerce/money.ts';
import {
  closeLot,
  type Lot,
  monthsLeft,
  restPriceMicros,
  spanSeconds,
  takeBack,
  termPriceMicros,
} from '../../core/commerce/prepaid.ts';
import { discountMillionths, formatPercent } from '../../core/commerce/price-book.ts';
import { nextStretch, type Stretch } from '../../core/commerce/term.ts';
import type { Database, Row } from '../../store/schema.ts';
import { billingMoment } from '../billing/moment.ts';
import { invalidField } from '../input.ts';
import type { Price } from '../order/price.ts';
import { recognisedToMs } from './recognise.ts';

/**
 * What an order does to a prepaid group's terms and money, reckoned from what is stored and an instant, written by
 * `apply.ts`. A preview shows the same plan that placing carries out.
 */
export interface Plan {
  /** The stretch that new months buy. */
  readonly stretch: (Stretch & { readonly months: number }) | null;
  readonly buys: readonly Buy[];
  readonly closes: readonly Close[];
}

export interface Buy extends Lot {
  /** The term it belongs to; null: the plan's stretch. */
  readonly termId: string | null;
  /** For the length of the term; 0n: none. */
  readonly percentMillionths: bigint;
  readonly arithmetic: string;
}

export interface Close {
  readonly lot: Row<'prepaid_lots'>;
  /** Given back. */
  readonly units: number;
  readonly refundMicros: bigint;
  readonly penaltyMicros: bigint;
  readonly earnedMicros: bigint;
  readonly rest: Lot | null;
  readonly arithmetic: string;
}

export const NO_PLAN: Plan = { stretch: null, buys: [], closes: [] };

const TERM_MONTHS_AHEAD_MAX = 60;
const MONTH_MS_MAX = 31 * 86_400_000;

/** Months for a group that is bought now (`monthsPaid` 0) or renewed. Throws `invalid_request` for terms too far ahead. */
export function planMonths(
  group: { purchasedAtMs: number; monthsPaid: number; units: number },
  months: number,
  facts: { zone: string; currency: string; price: Price; nowMs: number },
): Plan {
  const { units } = group;
  const stretch = nextStretch({ ...group, zone: facts.zone }, months);
  if (stretch.toMs > facts.nowMs + TERM_MONTHS_AHEAD_MAX * MONTH_MS_MAX) {
    throw invalidField('months', `a group is paid for at most ${TERM_MONTHS_AHEAD_MAX} months ahead`);
  }
  const { monthlyPriceMicros, discounts } = facts.price;
  const percentMillionths = discountMillionths(discounts, months);
  const paidMicros = termPriceMicros(units, months, monthlyPriceMicros, percentMillionths);
  const price = `${formatMicros(monthlyPriceMicros)} ${facts.currency}/month${less(percentMillionths)}`;
  const arithmetic = `${count(units, 'unit')} × ${count(months, 'month')} × ${price} = ${sum(paidMicros, facts)}`;
  const { fromMs, toMs } = stretch;
  const buy = { termId: null, fromMs, toMs, units, paidMicros, percentMillionths, arithmetic };
  return { stretch: { ...stretch, months }, buys: [buy], closes: [] };
}

/** Units that join: they pay the rest of every term that has not ended. */
export function planGrowth(
  terms: readonly Row<'prepaid_terms'>[],
  added: number,
  facts: { currency: string; price: Price; atMs: number },
): Plan {
  const { atMs, price } = facts;
  const buys = terms
    .filter((term) => term.to_ms > atMs)
    .map((term): Buy => {
      const span = { fromMs: term.from_ms, toMs: term.to_ms, months: term.months };
      const { monthlyPriceMicros, discounts } = price;
      const percentMillionths = discountMillionths(discounts, monthsLeft(span, atMs));
      const paidMicros = restPriceMicros(added, span, atMs, { monthlyPriceMicros, percentMillionths });
      const { used, unused, term: seconds } = spanSeconds(span, atMs);
      const whole = `${count(added, 'unit')} × ${count(term.months, 'month')} × ${formatMicros(monthlyPriceMicros)}`;
      const arithmetic = `${whole} ${facts.currency}/month${less(percentMillionths)} × ${unused} s ÷ ${seconds} s = ${sum(paidMicros, facts)}`;
      const fromMs = term.from_ms + used * 1000;
      return { termId: term.id, fromMs, toMs: term.to_ms, units: added, paidMicros, percentMillionths, arithmetic };
    });
  return { stretch: null, buys, closes: [] };
}

/** Units given back at an instant, of every term that has not ended, those bought last first; each lot pays its penalty. */
export function planGiveBack(
  lots: readonly Row<'prepaid_lots'>[],
  removed: number,
  facts: { currency: string; atMs: number },
): Plan {
  const closes: Close[] = [];
  const running = lots.filter((lot) => lot.to_ms > facts.atMs);
  for (const own of Map.groupBy(running, (lot) => lot.term_id).values()) {
    for (const { lot, units } of takeBack(own, removed)) closes.push(giveBack(lot, units, facts));
  }
  return { ...NO_PLAN, closes };
}

function giveBack(lot: Row<'prepaid_lots'>, units: number, facts: { currency: string; atMs: number }): Close {
  const span = { fromMs: lot.from_ms, toMs: lot.to_ms, units: lot.units, paidMicros: lot.paid_micros };
  const closing = closeLot(span, { atMs: facts.atMs, units, penalty: lot.penalty });
  const { unused, term } = spanSeconds(span, facts.atMs);
  const share = units === lot.units ? '' : ` × ${units} of ${count(lot.units, 'unit')}`;
  const kept = `× (1 − ${lot.penalty})`;
  const paid = `${sum(lot.paid_micros, facts)}${share} × ${unused} s ÷ ${term} s`;
  return { lot, units, ...closing, arithmetic: `${paid} ${kept} = ${sum(closing.refundMicros, facts)}` };
}

/** An order that never succeeded: its lots are paid back whole. */
export function planPayBack(lots: readonly Row<'prepaid_lots'>[], facts: { currency: string }): Plan {
  const closes = lots.map((lot): Close => {
    const amount = sum(lot.paid_micros, facts);
    const money = { refundMicros: lot.paid_micros, penaltyMicros: 0n, earnedMicros: 0n };
    return { lot, units: lot.units, ...money, rest: null, arithmetic: `${amount}, paid back in full` };
  });
  return { ...NO_PLAN, closes };
}

export function together(plans: readonly Plan[]): Plan {
  const closes = plans.flatMap((plan) => plan.closes);
  return { stretch: null, buys: plans.flatMap((plan) => plan.buys), closes };
}

/** Lots of a group that are not closed, in the order they were bought. */
export async function openLots(db: Kysely<Database>, groupId: string): Promise<Row<'prepaid_lots'>[]> {
  return db
    .selectFrom('prepaid_lots')
    .leftJoin('lot_closings', 'lot_closings.lot_id', 'prepaid_lots.id')
    .selectAll('prepaid_lots')
    .where('group_id', '=', groupId)
    .where('lot_id', 'is', null)
    .orderBy('created_at_ms')
    .orderBy('prepaid_lots.id')
    .execute();
}

export async function termsOf(db: Kysely<Database>, groupId: string): Promise<Row<'prepaid_terms'>[]> {
  return db.selectFrom('prepaid_terms').selectAll().where('group_id', '=', groupId).orderBy('from_ms').execute();
}

/**
 * The instant at which a prepaid group changes: as `billingMoment`, and never before a day that is recognised, so that a
 * clock that was set back cannot give back what is earned.
 */
export async function prepaidMoment(
  trx: Parameters<typeof billingMoment>[0],
  group: Parameters<typeof billingMoment>[1],
  atMs: number,
): Promise<number> {
  return billingMoment(trx, group, Math.max(atMs, await recognisedToMs(trx, group.tenant_id)));
}

function less(percentMillionths: bigint): string {
  return percentMillionths === 0n ? '' : ` × (1 − ${formatPercent(percentMillionths)} %)`;
}

function count(many: number, noun: string): string {
  return `${many} ${noun}${many === 1 ? '' : 's'}`;
}

function sum(micros: bigint, { currency }: { currency: string }): string {
  return `${formatMicros(micros)} ${currency}`;
}
