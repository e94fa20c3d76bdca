import { refundMicros } from './billing.ts';
import { floorDivide } from './money.ts';
import { discountedMicros } from './price-book.ts';

/**
 * Money of prepaid groups (DESIGN §7). What is paid for a term lies in **lots**: so many units from an instant to the
 * term's end, and the money for them. A lot earns its money evenly, second by second; what is not earned yet is the
 * tenant's until it is. Who gives units back closes lots: the unused part of the units given back is refunded less the
 * penalty, the rest is earned, and for the units kept a new lot carries on.
 */
export interface Lot {
  readonly fromMs: number;
  readonly toMs: number;
  readonly units: number;
  readonly paidMicros: bigint;
}

export interface LotSeconds {
  readonly term: number;
  /** Every second that was begun. */
  readonly used: number;
  readonly unused: number;
}

/** Whole seconds of a span at an instant: used + unused = term. */
export function spanSeconds(span: { fromMs: number; toMs: number }, atMs: number): LotSeconds {
  const term = Math.max(1, Math.ceil((span.toMs - span.fromMs) / 1000));
  const used = Math.min(term, Math.max(0, Math.ceil((atMs - span.fromMs) / 1000)));
  return { term, used, unused: term - used };
}

/** What a lot has earned by an instant: paid × used seconds ÷ term seconds, rounded down; all of it at the end. */
export function earnedMicros(lot: Lot, atMs: number): bigint {
  const { used, term } = spanSeconds(lot, atMs);
  return floorDivide(lot.paidMicros * BigInt(used), BigInt(term));
}

export interface Closing {
  readonly refundMicros: bigint;
  /** Kept of the unused money of the units given back. */
  readonly penaltyMicros: bigint;
  /** Earned by the lot in all: used time and penalty. earned + refund + carried = paid. */
  readonly earnedMicros: bigint;
  /** For the units that are kept, to the same end; null when none are. */
  readonly rest: Lot | null;
}

/**
 * A lot from which units are given back at an instant: refund = paid × units given back ÷ units × unused seconds ÷ term
 * seconds × (1 − penalty), rounded down once. A lot that has not begun is unused, and pays the penalty too.
 */
export function closeLot(lot: Lot, given: { atMs: number; units: number; penalty: number }): Closing {
  const { units } = given;
  if (!Number.isSafeInteger(units) || units < 1 || units > lot.units) throw new RangeError('units of the lot');
  const { used, unused, term } = spanSeconds(lot, given.atMs);
  const share = (part: number) =>
    floorDivide(lot.paidMicros * BigInt(part) * BigInt(unused), BigInt(lot.units) * BigInt(term));
  const refund = refundMicros({
    paidMicros: lot.paidMicros * BigInt(units),
    unusedSeconds: unused,
    termSeconds: term * lot.units,
    penalty: given.penalty,
  });
  const carried = share(lot.units - units);
  const fromMs = Math.min(lot.toMs, lot.fromMs + used * 1000);
  return {
    refundMicros: refund,
    penaltyMicros: share(units) - refund,
    earnedMicros: lot.paidMicros - refund - carried,
    rest: units === lot.units ? null : { fromMs, toMs: lot.toMs, units: lot.units - units, paidMicros: carried },
  };
}

/** Which units are given back: of the lots that were bought last, first. `lots` in the order they were bought. */
export function takeBack<L extends Pick<Lot, 'units'>>(lots: readonly L[], units: number): { lot: L; units: number }[] {
  let left = units;
  const taken: { lot: L; units: number }[] = [];
  for (const lot of lots.toReversed()) {
    if (left === 0) break;
    const of = Math.min(left, lot.units);
    taken.push({ lot, units: of });
    left -= of;
  }
  if (left > 0) throw new RangeError(`${left} units more than the lots hold`);
  return taken;
}

/** A whole term: units × months × monthly price × (1 − discount), rounded once, half to even. */
export function termPriceMicros(
  units: number,
  months: number,
  monthlyPriceMicros: bigint,
  percentMillionths = 0n,
): bigint {
  return discountedMicros(BigInt(units) * BigInt(months) * monthlyPriceMicros, percentMillionths);
}

/**
 * Units that join a running term pay its rest: units × months × monthly price × (1 − discount) × unused seconds ÷ term
 * seconds, rounded once, half to even.
 */
export function restPriceMicros(
  units: number,
  term: { fromMs: number; toMs: number; months: number },
  atMs: number,
  price: { monthlyPriceMicros: bigint; percentMillionths?: bigint },
): bigint {
  const { unused, term: seconds } = spanSeconds(term, atMs);
  const whole = BigInt(units) * BigInt(term.months) * price.monthlyPriceMicros;
  return discountedMicros(whole, price.percentMillionths ?? 0n, BigInt(unused), BigInt(seconds));
}

/**
 * Months that are left of a term at an instant, the begun one included: months × unused seconds ÷ term seconds, rounded
 * up. A discount for long terms goes by them when units join, so that nobody gets a year's for its last day.
 */
export function monthsLeft(term: { fromMs: number; toMs: number; months: number }, atMs: number): number {
  const { unused, term: seconds } = spanSeconds(term, atMs);
  return Math.ceil((term.months * unused) / seconds);
}
