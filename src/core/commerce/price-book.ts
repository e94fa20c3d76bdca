import { formatMicros, parseMicros, roundHalfEven } from './money.ts';
import { clockHourOf } from './term.ts';

/**
 * Rules of the price book: which version is valid when, from when running units pay it, and what a term costs. Money is
 * bigint micros, percents are bigint millionths of a percent (12.5 % = 12_500_000n); neither is ever a float.
 */
export interface TermDiscount {
  /** Terms of so many months or more. */
  readonly monthsMin: number;
  /** Off the price, above 0 and below 100 %. */
  readonly percentMillionths: bigint;
}

/** Of one unit. */
export interface UnitPrices {
  readonly hourlyPriceMicros: bigint;
  readonly monthlyPriceMicros: bigint;
  /** Kept of an early refund, > 0 and ≤ 1. */
  readonly penalty: number;
  /** Rising by months and by percent. */
  readonly discounts: readonly TermDiscount[];
}

interface Valid {
  readonly validFromMs: number;
}

/**
 * The version that is valid at an instant: the last that began. Time before the first version is the first version's, so
 * that there is always a price once there is a version. `versions` in order of their beginning.
 */
export function versionAt<V extends Valid>(versions: readonly V[], atMs: number): V | undefined {
  return versions.findLast((version) => version.validFromMs <= atMs) ?? versions[0];
}

/** When the next version begins, strictly after an instant; null: none is to come. */
export function nextChangeMs(versions: readonly Valid[], afterMs: number): number | null {
  return versions.find((version) => version.validFromMs > afterMs)?.validFromMs ?? null;
}

/**
 * From when postpaid units that run already pay a version: its beginning, or the next :00 of the zone's clock, so that no
 * clock hour's bill has two prices for units that did not change.
 */
export function startsForRunningMs(validFromMs: number, zone: string): number {
  const hour = clockHourOf(validFromMs, zone);
  return hour.fromMs === validFromMs ? validFromMs : hour.toMs;
}

/**
 * The instant whose version a running postpaid group pays at `atMs`: the beginning of the clock hour, or its order where
 * that is later.
 */
export function pricedByMs(group: { readonly orderedAtMs: number; readonly zone: string }, atMs: number): number {
  return Math.max(group.orderedAtMs, clockHourOf(atMs, group.zone).fromMs);
}

/** The discount of a term: the last whose months it reaches; 0n: none. In millionths of a percent. */
export function discountMillionths(discounts: readonly TermDiscount[], months: number): bigint {
  return discounts.findLast((discount) => discount.monthsMin <= months)?.percentMillionths ?? 0n;
}

const WHOLE = 100_000_000n;

/**
 * micros × (100 % − discount) × part ÷ whole, rounded once: half to even, to the micro. `part ÷ whole` is 1 ÷ 1 for a
 * whole term, and unused seconds ÷ term seconds for units that join it.
 */
export function discountedMicros(micros: bigint, percentMillionths: bigint, part = 1n, whole = 1n): bigint {
  if (percentMillionths < 0n || percentMillionths >= WHOLE) throw new RangeError('0 ≤ discount < 100 %');
  return roundHalfEven(micros * (WHOLE - percentMillionths) * part, WHOLE * whole);
}

/** `"12.5"` → 12_500_000n. */
export function parsePercent(text: string): bigint {
  return parseMicros(text);
}

/** 12_500_000n → `"12.5"` */
export function formatPercent(percentMillionths: bigint): string {
  return formatMicros(percentMillionths).replace(/\.?0+$/, '');
}

export interface PriceChange {
  readonly templateId: string;
  /** null: not for sale. */
  readonly before: UnitPrices | null;
  readonly after: UnitPrices | null;
}

/** What is added, removed or priced differently in `after`, by template. */
export function diffPrices(
  before: ReadonlyMap<string, UnitPrices>,
  after: ReadonlyMap<string, UnitPrices>,
): PriceChange[] {
  const ids = [...new Set([...before.keys(), ...after.keys()])].sort();
  return ids
    .map((templateId) => ({
      templateId,
      before: before.get(templateId) ?? null,
      after: after.get(templateId) ?? null,
    }))
    .filter((change) => !samePrices(change.before, change.after));
}

/** Whether two prices are the same in every figure. */
export function samePrices(a: UnitPrices | null, b: UnitPrices | null): boolean {
  if (a === null || b === null) return a === b;
  const money = a.hourlyPriceMicros === b.hourlyPriceMicros && a.monthlyPriceMicros === b.monthlyPriceMicros;
  return (
    money &&
    a.penalty === b.penalty &&
    a.discounts.length === b.discounts.length &&
    a.discounts.every((discount, index) => {
      const other = b.discounts[index];
      return discount.monthsMin === other?.monthsMin && discount.percentMillionths === other.percentMillionths;
    })
  );
}
