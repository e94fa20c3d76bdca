import fc from 'fast-check';
import { Temporal } from 'temporal-polyfill';
import { describe, expect, test } from 'vitest';
import { clockHourOf, prepaidTerm } from './term.ts';

const SHANGHAI = 'Asia/Shanghai';
const at = (local: string, zone = SHANGHAI) =>
  Temporal.PlainDateTime.from(local).toZonedDateTime(zone).epochMilliseconds;
const show = (ms: number, zone = SHANGHAI) =>
  Temporal.Instant.fromEpochMilliseconds(ms)
    .toZonedDateTimeISO(zone)
    .toPlainDateTime()
    .toString({ smallestUnit: 'minute' });

describe('prepaid terms (DESIGN §7)', () => {
  test('bought Apr 13 09:00 for a month: expires May 14 12:00, reclaimed May 15 12:00', () => {
    const term = prepaidTerm({ purchasedAtMs: at('2025-04-13T09:00'), months: 1, zone: SHANGHAI });
    expect(term.expiryDay).toBe('2025-05-13');
    expect(show(term.expiresAtMs)).toBe('2025-05-14T12:00');
    expect(show(term.reclaimAtMs)).toBe('2025-05-15T12:00');
  });

  test.each([
    [1, '2025-02-28'],
    [2, '2025-03-31'],
    [3, '2025-04-30'],
    [12, '2026-01-31'],
    [13, '2026-02-28'],
    [37, '2028-02-29'],
  ])('bought Jan 31, paid for %d months: the day stays anchored, %s', (months, expected) => {
    expect(prepaidTerm({ purchasedAtMs: at('2025-01-31T23:59'), months, zone: SHANGHAI }).expiryDay).toBe(expected);
  });

  test('the day of purchase is the one of the billing zone', () => {
    const purchasedAtMs = at('2025-04-12T17:30', 'UTC'); // Apr 13, 01:30 in Shanghai
    expect(prepaidTerm({ purchasedAtMs, months: 1, zone: SHANGHAI }).expiryDay).toBe('2025-05-13');
    expect(prepaidTerm({ purchasedAtMs, months: 1, zone: 'UTC' }).expiryDay).toBe('2025-05-12');
  });

  test('noon is noon on the day clocks change, and reclaim is 24 hours later', () => {
    const term = prepaidTerm({
      purchasedAtMs: at('2025-03-01T10:00', 'Europe/Lisbon'),
      months: 1,
      zone: 'Europe/Lisbon',
    });
    expect(show(term.expiresAtMs, 'Europe/Lisbon')).toBe('2025-04-02T12:00');
    const eve = prepaidTerm({
      purchasedAtMs: at('2025-02-28T10:00', 'Europe/Lisbon'),
      months: 1,
      zone: 'Europe/Lisbon',
    });
    expect(show(eve.expiresAtMs, 'Europe/Lisbon')).toBe('2025-03-29T12:00');
    expect(eve.reclaimAtMs - eve.expiresAtMs).toBe(86_400_000); // 13:00 there: clocks went forward that night
    expect(show(eve.reclaimAtMs, 'Europe/Lisbon')).toBe('2025-03-30T13:00');
  });

  test.each([0, -1, 1.5, Number.NaN])('%d months is no term', (months) => {
    expect(() => prepaidTerm({ purchasedAtMs: 0, months, zone: SHANGHAI })).toThrow(RangeError);
  });
});

describe('clock hours', () => {
  test('16:20 lies in 16:00–17:00', () => {
    const hour = clockHourOf(at('2025-04-13T16:20'), SHANGHAI);
    expect([show(hour.fromMs), show(hour.toMs)]).toEqual(['2025-04-13T16:00', '2025-04-13T17:00']);
    expect(clockHourOf(hour.fromMs, SHANGHAI)).toEqual(hour);
    expect(clockHourOf(hour.toMs - 1, SHANGHAI)).toEqual(hour);
    expect(clockHourOf(hour.toMs, SHANGHAI).fromMs).toBe(hour.toMs);
  });

  test.each([
    ['Asia/Kolkata', 30],
    ['Asia/Kathmandu', 15],
    ['America/St_Johns', 30],
  ])('in %s hours start at :%d of UTC', (zone, minute) => {
    const hour = clockHourOf(at('2025-01-13T16:20', zone), zone);
    expect(show(hour.fromMs, zone)).toBe('2025-01-13T16:00');
    expect(new Date(hour.fromMs).getUTCMinutes()).toBe(minute);
    expect(hour.toMs - hour.fromMs).toBe(3_600_000);
  });

  test('the repeated hour of autumn is two hours, the skipped one of spring none', () => {
    const zone = 'America/New_York';
    const first = clockHourOf(at('2025-11-02T01:30', zone), zone);
    const second = clockHourOf(first.toMs, zone);
    expect([show(first.fromMs, zone), show(second.fromMs, zone), show(second.toMs, zone)]).toEqual([
      '2025-11-02T01:00',
      '2025-11-02T01:00',
      '2025-11-02T02:00',
    ]);
    const spring = clockHourOf(at('2025-03-09T01:30', zone), zone);
    expect([show(spring.fromMs, zone), show(spring.toMs, zone)]).toEqual(['2025-03-09T01:00', '2025-03-09T03:00']);
    expect(spring.toMs - spring.fromMs).toBe(3_600_000);
  });

  test('hours part time without gap or overlap, in every kind of zone', () => {
    const zones = fc.constantFrom(
      SHANGHAI,
      'UTC',
      'Asia/Kolkata',
      'Europe/Lisbon',
      'America/St_Johns',
      'Australia/Lord_Howe',
    );
    const instants = fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2040, 0) });
    // Around Lord Howe's changes of half an hour, too.
    const near = fc.integer({ min: Date.UTC(2025, 3, 5, 12), max: Date.UTC(2025, 3, 5, 18) });
    fc.assert(
      fc.property(fc.oneof(instants, near), zones, (ms, zone) => {
        const hour = clockHourOf(ms, zone);
        expect(hour.fromMs <= ms && ms < hour.toMs).toBe(true);
        expect(clockHourOf(hour.fromMs, zone)).toEqual(hour);
        expect(clockHourOf(hour.toMs, zone).fromMs).toBe(hour.toMs);
        expect(clockHourOf(hour.fromMs - 1, zone).toMs).toBe(hour.fromMs);
      }),
    );
  });
});
