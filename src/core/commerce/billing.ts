import { floorDivide, formatMicros, roundHalfEven } from './money.ts';

/**
 * Postpaid billing (DESIGN §7). Everything is a difference of one cumulative count that depends on nothing but the
 * group's own facts and the instant, so wherever time is cut, whenever and however often it is computed, the total is
 * the same (invariant 3).
 */
const SECONDS_PER_HOUR = 3600n;

/** Units × price from an instant until the next segment's. */
export interface Segment {
  readonly fromMs: number;
  readonly units: number;
  readonly hourlyPriceMicros: bigint;
  /** Of the price book, for people. */
  readonly priceVersion?: string;
}

export interface BilledGroup {
  /** The order's success. */
  readonly fromMs: number;
  /** The unsubscription's success; null while it lasts. */
  readonly endMs: number | null;
  /** In order of time; the first holds from the start. */
  readonly segments: readonly Segment[];
}

export interface Cumulative {
  readonly unitSeconds: number;
  readonly amountMicros: bigint;
}

/** One summand of a bill line: seconds × units × hourly price ÷ 3600. */
export interface Term {
  readonly seconds: number;
  readonly units: number;
  readonly hourlyPriceMicros: bigint;
  readonly priceVersion?: string;
}

/** Seconds billed up to an instant: none before the start, then every second that was begun, one at least. */
export function cumulativeSeconds(span: { fromMs: number; endMs: number | null }, atMs: number): number {
  if (atMs <= span.fromMs) return 0;
  const untilMs = span.endMs === null ? atMs : Math.min(atMs, span.endMs);
  return Math.max(1, Math.ceil((untilMs - span.fromMs) / 1000));
}

/**
 * The group's time from one instant to another, by segment. Segments are cut at the same cumulative count of seconds as
 * everything else, so a second in which a resize happens belongs to the segment before it.
 */
export function termsBetween(group: BilledGroup, afterMs: number, atMs: number): Term[] {
  const terms: Term[] = [];
  for (const [i, segment] of group.segments.entries()) {
    const startMs = i === 0 ? Number.NEGATIVE_INFINITY : segment.fromMs;
    const stopMs = group.segments[i + 1]?.fromMs ?? Number.POSITIVE_INFINITY;
    if (stopMs < startMs) throw new RangeError('segments have to be in order of time');
    const seconds =
      cumulativeSeconds(group, Math.min(atMs, stopMs)) -
      cumulativeSeconds(group, Math.min(Math.max(afterMs, startMs), atMs, stopMs));
    if (seconds <= 0) continue;
    const { fromMs: _, ...rate } = segment;
    terms.push({ seconds, ...rate });
  }
  return terms;
}

/** Unit-seconds and money since the group's start. The money is rounded once: half to even, to the micro. */
export function cumulative(group: BilledGroup, atMs: number): Cumulative {
  return sumOf(termsBetween(group, Number.NEGATIVE_INFINITY, atMs));
}

export function sumOf(terms: readonly Term[]): Cumulative {
  let unitSeconds = 0;
  let numerator = 0n;
  for (const term of terms) {
    unitSeconds += term.seconds * term.units;
    numerator += BigInt(term.seconds * term.units) * term.hourlyPriceMicros;
  }
  return { unitSeconds, amountMicros: roundHalfEven(numerator, SECONDS_PER_HOUR) };
}

export interface BillLine {
  readonly unitSeconds: number;
  readonly amountMicros: bigint;
  /** What the next line is counted from. */
  readonly total: Cumulative;
  /** Of the price book, in order of time. */
  readonly priceVersions: readonly string[];
  /** The sum written out, for people. */
  readonly arithmetic: string;
}

/**
 * What a group owes at an instant beyond what was billed `before` (up to `billedToMs`; 0 when never). null when that
 * is nothing. Never negative: should a fact about time that is billed already have changed, what was billed stays.
 */
export function billLine(
  group: BilledGroup,
  before: Cumulative & { readonly billedToMs: number },
  atMs: number,
  currency: string,
): BillLine | null {
  const total = cumulative(group, atMs);
  const unitSeconds = total.unitSeconds - before.unitSeconds;
  const amountMicros = total.amountMicros - before.amountMicros;
  if (unitSeconds <= 0 || amountMicros < 0n) return null;
  const terms = termsBetween(group, before.billedToMs, atMs);
  const priceVersions = [...new Set(terms.flatMap(({ priceVersion }) => priceVersion ?? []))];
  const arithmetic = writeOut(terms, { before, total }, currency);
  return { unitSeconds, amountMicros, total, priceVersions, arithmetic };
}

/**
 * `8,431 s × 1 unit × 3.600000 CNY/h ÷ 3600 = 8.431000 CNY`; terms of several price versions say which. Where a fraction of a micro was carried from the hours
 * before, so that the terms alone would round differently, the difference of the totals is written out as well.
 */
function writeOut(
  terms: readonly Term[],
  { before, total }: { before: Cumulative; total: Cumulative },
  currency: string,
): string {
  const alone = sumOf(terms).amountMicros;
  const amount = total.amountMicros - before.amountMicros;
  const several = new Set(terms.map(({ priceVersion }) => priceVersion)).size > 1;
  const written = terms.map((term) => `${writeTerm(term, currency)}${several ? ` (${term.priceVersion})` : ''}`);
  const sum = `${written.join(' + ')} = ${formatMicros(alone)} ${currency}`;
  if (alone === amount) return sum;
  const difference = `${formatMicros(total.amountMicros)} − ${formatMicros(before.amountMicros)}`;
  return `${sum}; rounded since the start: ${difference} = ${formatMicros(amount)} ${currency}`;
}

function writeTerm(term: Term, currency: string): string {
  const units = `${thousands(term.units)} ${term.units === 1 ? 'unit' : 'units'}`;
  return `${thousands(term.seconds)} s × ${units} × ${formatMicros(term.hourlyPriceMicros)} ${currency}/h ÷ 3600`;
}

function thousands(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** From the end of an hour to its bill. */
export const ISSUE_DELAY_MS = 3_600_000;

/** When the bill of an hour is issued: 1 to 2 h after it ends (16:00–17:00 → 18:00–19:00). */
export function issuedAtMs(hourToMs: number, issueDelayMs: number): number {
  return hourToMs + issueDelayMs;
}

/**
 * Refund of a prepaid group that is unsubscribed early: paid × unused seconds ÷ term seconds × (1 − penalty), rounded
 * down. `penalty` is the price book's, > 0 and ≤ 1 (to a millionth), so that no refund is whole. Source: DESIGN §7.
 */
export function refundMicros(input: {
  paidMicros: bigint;
  unusedSeconds: number;
  termSeconds: number;
  penalty: number;
}): bigint {
  const { paidMicros, unusedSeconds, termSeconds, penalty } = input;
  const penaltyMillionths = Math.ceil(penalty * 1e6 - 1e-6);
  if (!(penaltyMillionths > 0 && penaltyMillionths <= 1_000_000)) throw new RangeError('0 < penalty ≤ 1');
  if (paidMicros < 0n || termSeconds <= 0) throw new RangeError('nothing was paid, or for no time');
  const unused = BigInt(Math.max(0, Math.min(unusedSeconds, termSeconds)));
  const kept = BigInt(1_000_000 - penaltyMillionths);
  return floorDivide(paidMicros * unused * kept, BigInt(termSeconds) * 1_000_000n);
}
