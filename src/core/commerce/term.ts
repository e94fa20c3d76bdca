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
