/**
 * Wall clocks by what `Intl` shows of them, counted on paper: the oracle's own calendar, beside `core/commerce/term.ts`.
 * For zones that are whole hours from UTC, or always the same half or quarter, and whose clocks never skip noon or
 * midnight.
 */
const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
/** Where a zone's hours begin, past the whole hours of UTC. */
const PHASE_MS: Readonly<Record<string, number>> = {
  'Asia/Shanghai': 0,
  'America/New_York': 0,
  'Asia/Kolkata': HOUR_MS / 2,
  'Europe/Lisbon': 0,
  'Asia/Kathmandu': (3 * HOUR_MS) / 4,
  'Australia/Sydney': 0,
};
export const ZONES = Object.keys(PHASE_MS);

/** The first instant of the hour that the zone's clock shows. */
export function hourOf(atMs: number, zone: string): number {
  const phaseMs = PHASE_MS[zone] ?? 0;
  return Math.floor((atMs + phaseMs) / HOUR_MS) * HOUR_MS - phaseMs;
}

/** The first midnight strictly after. */
export function midnightAfter(atMs: number, zone: string): number {
  return instantOf(dayOf(atMs, zone) + DAY_MS, 0, zone);
}

/** 12:00 of the day after the last paid one: months on from the first day, clamped to the month's end. */
export function expiryOf(purchasedMs: number, months: number, zone: string): number {
  const first = new Date(dayOf(purchasedMs, zone));
  const month = first.getUTCMonth() + months;
  const lastDay = new Date(Date.UTC(first.getUTCFullYear(), month + 1, 0)).getUTCDate();
  const day = Date.UTC(first.getUTCFullYear(), month, Math.min(first.getUTCDate(), lastDay));
  return instantOf(day + DAY_MS, 12, zone);
}

/** Noon of the zone, so many days before an expiry. */
export function noonBefore(expiryMs: number, days: number, zone: string): number {
  return instantOf(dayOf(expiryMs, zone) - days * DAY_MS, 12, zone);
}

/** The zone's date, as the UTC midnight that is written the same. */
function dayOf(atMs: number, zone: string): number {
  return Math.floor((atMs + offsetMs(atMs, zone)) / DAY_MS) * DAY_MS;
}

/** A date and hour on the zone's clock. Where clocks change in between, the second look is right. */
function instantOf(day: number, hour: number, zone: string): number {
  const written = day + hour * HOUR_MS;
  const guess = written - offsetMs(written, zone);
  return written - offsetMs(guess, zone);
}

const formats = new Map<string, Intl.DateTimeFormat>();

/** What the zone's clock shows less what UTC's does. */
function offsetMs(atMs: number, zone: string): number {
  const format = formats.get(zone) ?? new Intl.DateTimeFormat('en-US', { ...FIELDS, timeZone: zone });
  formats.set(zone, format);
  const wholeMs = Math.floor(atMs / 1000) * 1000;
  const part = Object.fromEntries(format.formatToParts(wholeMs).map(({ type, value }) => [type, Number(value)]));
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeMs;
}

const FIELDS = {
  hourCycle: 'h23',
  year: 'numeric',
  month: 'numeric',
  day: 'numeric',
  hour: 'numeric',
  minute: 'numeric',
  second: 'numeric',
} as const;
