import { Temporal } from 'temporal-polyfill';

/**
 * Natural days and clock hours in a billing zone (IANA name). Instants go in and come out as epoch milliseconds.
 */
const DAY_MS = 86_400_000;
const QUARTER_HOUR_MS = 900_000;
/** A wall clock that is set back at :00 needs up to two hours to show the next :00. */
const QUARTERS_MAX = 16;

export interface PrepaidTerm {
  /** The last day that is paid for, `YYYY-MM-DD` in the zone. A renewal counts on from here. */
  readonly expiryDay: string;
  /** 12:00 of the day after. */
  readonly expiresAtMs: number;
  /** 24 hours later: the units are taken back. */
  readonly reclaimAtMs: number;
}

/**
 * The term of a prepaid group that was first bought at `purchasedAtMs` and is paid for `months` months in all, renewals
 * included: months are counted from the first day and clamped to the month's end, so Jan 31 → Feb 28 → Mar 31.
 * Source: DESIGN §7, prepaid.
 */
export function prepaidTerm(purchase: { purchasedAtMs: number; months: number; zone: string }): PrepaidTerm {
  const { purchasedAtMs, months, zone } = purchase;
  if (!Number.isSafeInteger(months) || months < 1) throw new RangeError('a term is one month or more');
  const expiryDay = zoned(purchasedAtMs, zone).toPlainDate().add({ months });
  const noon = expiryDay.add({ days: 1 }).toZonedDateTime({ timeZone: zone, plainTime: '12:00' });
  const expiresAtMs = noon.epochMilliseconds;
  return { expiryDay: expiryDay.toString(), expiresAtMs, reclaimAtMs: expiresAtMs + DAY_MS };
}

/** One paid stretch of a prepaid group: [fromMs, toMs), to the second that it expires. */
export interface Stretch extends PrepaidTerm {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * What `months` more buy for a group that was first bought at `purchasedAtMs` and is paid for `monthsPaid` months (0: it
 * is bought now). The stretch begins where the paid time ends, whenever it is bought: no gap, no free day.
 */
export function nextStretch(
  group: { purchasedAtMs: number; monthsPaid: number; zone: string },
  months: number,
): Stretch {
  const { purchasedAtMs, monthsPaid, zone } = group;
  if (!Number.isSafeInteger(months) || months < 1) throw new RangeError('a term is one month or more');
  const fromMs =
    monthsPaid === 0 ? purchasedAtMs : prepaidTerm({ purchasedAtMs, months: monthsPaid, zone }).expiresAtMs;
  const term = prepaidTerm({ purchasedAtMs, months: monthsPaid + months, zone });
  return { ...term, fromMs, toMs: term.expiresAtMs };
}

/** The last paid day of a group that expires at this instant. */
export function expiryDayOf(expiresAtMs: number, zone: string): string {
  return zoned(expiresAtMs, zone).toPlainDate().subtract({ days: 1 }).toString();
}

/** The next midnight of the zone (the day's first instant, where clocks skip midnight). */
export function nextMidnightMs(atMs: number, zone: string): number {
  const tomorrow = zoned(atMs, zone).toPlainDate().add({ days: 1 });
  return tomorrow.toZonedDateTime({ timeZone: zone }).epochMilliseconds;
}

/** A calendar month, `YYYY-MM`, of the zone: [fromMs, toMs). Throws RangeError on what is no month. */
export function monthOf(month: string, zone: string): { fromMs: number; toMs: number } {
  const first = Temporal.PlainYearMonth.from(month).toPlainDate({ day: 1 });
  const startMs = (day: Temporal.PlainDate) => day.toZonedDateTime({ timeZone: zone }).epochMilliseconds;
  return { fromMs: startMs(first), toMs: startMs(first.add({ months: 1 })) };
}

/** `YYYY-MM` of an instant in the zone. */
export function monthAt(atMs: number, zone: string): string {
  return zoned(atMs, zone).toPlainDate().toPlainYearMonth().toString();
}

/** The end of the month that an instant lies in. */
export function monthEndMs(atMs: number, zone: string): number {
  return monthOf(monthAt(atMs, zone), zone).toMs;
}

/** The first instant of the zone's day. */
export function dayStartMs(atMs: number, zone: string): number {
  return zoned(atMs, zone).startOfDay().epochMilliseconds;
}

const REMINDER_DAYS = 7;
const AUTO_RENEW_DAYS = 3;

export type TermEvent = 'auto_renew' | 'remind' | 'expire' | 'reclaim';

export interface TermDates {
  readonly expiresAtMs: number;
  readonly reclaimAtMs: number;
  readonly zone: string;
}

/**
 * What happens to a prepaid group next, strictly after an instant, and when; null after its reclaim. At noon of each of
 * the last 7 days a reminder; auto-renewal tries at noon from 3 days before, the expiry's noon included; then expiry and
 * reclaim. Events of one instant come in the order they are to be handled.
 */
export function nextTermEvents(
  term: TermDates,
  afterMs: number,
): { readonly atMs: number; readonly events: readonly TermEvent[]; readonly daysLeft: number } | null {
  for (let daysLeft = REMINDER_DAYS; daysLeft >= 0; daysLeft--) {
    const atMs = daysBefore(term, daysLeft);
    if (atMs <= afterMs) continue;
    const events: TermEvent[] = daysLeft <= AUTO_RENEW_DAYS ? ['auto_renew'] : [];
    return { atMs, daysLeft, events: [...events, daysLeft === 0 ? 'expire' : 'remind'] };
  }
  return afterMs < term.reclaimAtMs ? { atMs: term.reclaimAtMs, daysLeft: 0, events: ['reclaim'] } : null;
}

/** The last day before expiry, in which auto-renewal cannot be switched off: [fromMs, toMs). */
export function autoRenewLock(term: Pick<TermDates, 'expiresAtMs' | 'zone'>): { fromMs: number; toMs: number } {
  return { fromMs: daysBefore(term, 1), toMs: term.expiresAtMs };
}

/** Noon of the zone, so many days before the expiry's noon. */
function daysBefore({ expiresAtMs, zone }: Pick<TermDates, 'expiresAtMs' | 'zone'>, days: number): number {
  return zoned(expiresAtMs, zone).subtract({ days }).epochMilliseconds;
}

/** [fromMs, toMs) */
export interface ClockHour {
  readonly fromMs: number;
  readonly toMs: number;
}

/**
 * The hour that the zone's wall clock shows at an instant: from the last :00 to the next. Hours never overlap and leave
 * no gap. They last 60 minutes also in zones at :30 or :45 and when clocks change; only where clocks change by half an
 * hour (Lord Howe) one hour of the year lasts 90 minutes. Every zone of the last 50 years is whole quarter hours from UTC.
 */
export function clockHourOf(atMs: number, zone: string): ClockHour {
  const quarter = Math.floor(atMs / QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
  return { fromMs: wholeHour(quarter, zone, -1), toMs: wholeHour(quarter + QUARTER_HOUR_MS, zone, 1) };
}

/** The first instant at or beyond `quarterMs`, in that direction, at which the wall clock shows :00. */
function wholeHour(quarterMs: number, zone: string, direction: 1 | -1): number {
  for (let i = 0; i < QUARTERS_MAX; i++) {
    const atMs = quarterMs + direction * i * QUARTER_HOUR_MS;
    if (zoned(atMs, zone).minute === 0) return atMs;
  }
  throw new RangeError(`the clock of ${zone} shows no whole hour near ${quarterMs}`);
}

function zoned(atMs: number, zone: string): Temporal.ZonedDateTime {
  return Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
}
