import { Temporal } from 'temporal-polyfill';

/** `2026-04-13 18:00:00+08:00`: the zone's wall clock, and how far it is from UTC. */
export function instantText(atMs: number, zone: string): string {
  const at = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone);
  const time = at.toPlainDateTime().toString({ smallestUnit: 'second' }).replace('T', ' ');
  return `${time}${at.offset}`;
}
