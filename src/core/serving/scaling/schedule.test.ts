import fc from 'fast-check';
import { expect, test } from 'vitest';
import { occurrencesOf, Schedule, type ScheduleWindow } from './schedule.ts';

const ms = (iso: string) => Date.parse(iso);
const iso = (windows: ScheduleWindow[], zone: string, from: string, to: string) =>
  occurrencesOf(windows, zone, ms(from), ms(to)).map((one) => [
    new Date(one.fromMs).toISOString().slice(0, 16),
    new Date(one.toMs).toISOString().slice(0, 16),
  ]);

test('a daily window over midnight that began the day before is still on', () => {
  const night: ScheduleWindow = { kind: 'daily', from: '22:00', to: '06:00', minUnits: 3 };
  expect(iso([night], 'Asia/Shanghai', '2026-11-23T18:00Z', '2026-11-24T13:00Z')).toEqual([
    ['2026-11-23T14:00', '2026-11-23T22:00'],
  ]);
  const schedule = new Schedule([night], 'Asia/Shanghai');
  expect(schedule.floorWithin(ms('2026-11-23T21:59:59Z'), ms('2026-11-23T21:59:59Z'))).toBe(3);
  expect(schedule.floorWithin(ms('2026-11-23T22:00Z'), ms('2026-11-23T22:00Z'))).toBe(0);
  // A start-up time of three minutes before it begins.
  expect(schedule.floorWithin(ms('2026-11-24T13:57Z'), ms('2026-11-24T14:00Z'))).toBe(3);
});

test('a weekly window counts on the day on which it begins', () => {
  const friday: ScheduleWindow = { kind: 'weekly', days: [5], from: '20:00', to: '02:00', minUnits: 2 };
  expect(iso([friday], 'UTC', '2026-11-23T00:00Z', '2026-11-30T00:00Z')).toEqual([
    ['2026-11-27T20:00', '2026-11-28T02:00'],
  ]);
});

test('summer time: a window keeps its wall clock, and a skipped time begins after the gap', () => {
  const office: ScheduleWindow = { kind: 'daily', from: '09:00', to: '10:00', minUnits: 1 };
  expect(iso([office], 'Europe/Berlin', '2026-03-28T00:00Z', '2026-03-29T23:00Z').slice(-2)).toEqual([
    ['2026-03-28T08:00', '2026-03-28T09:00'],
    ['2026-03-29T07:00', '2026-03-29T08:00'],
  ]);
  const skipped: ScheduleWindow = { kind: 'once', date: '2026-03-29', from: '02:30', to: '04:00', minUnits: 1 };
  expect(iso([skipped], 'Europe/Berlin', '2026-03-28T00:00Z', '2026-03-30T00:00Z')).toEqual([
    ['2026-03-29T01:30', '2026-03-29T02:00'],
  ]);
});

test('cron windows begin by the zone and last their minutes', () => {
  const cron: ScheduleWindow = { kind: 'cron', cron: '30 9 * * 1-5', minutes: 90, minUnits: 4 };
  expect(iso([cron], 'Asia/Shanghai', '2026-11-27T00:00Z', '2026-11-30T02:00Z')).toEqual([
    ['2026-11-27T01:30', '2026-11-27T03:00'],
    ['2026-11-30T01:30', '2026-11-30T03:00'],
  ]);
  const schedule = new Schedule([cron], 'Asia/Shanghai');
  expect(schedule.floorWithin(ms('2026-11-27T01:30Z'), ms('2026-11-27T01:30Z'))).toBe(4);
  expect(schedule.floorWithin(ms('2026-11-27T03:00Z'), ms('2026-11-27T03:00Z'))).toBe(0);
});

test('of windows that overlap the highest minimum wins', () => {
  const windows: ScheduleWindow[] = [
    { kind: 'daily', from: '08:00', to: '20:00', minUnits: 2 },
    { kind: 'daily', from: '12:00', to: '13:00', minUnits: 7 },
  ];
  const schedule = new Schedule(windows, 'UTC');
  const floors = [11, 12, 13, 20].map((hour) => {
    const atMs = ms(`2026-11-24T${hour}:00Z`);
    return schedule.floorWithin(atMs, atMs);
  });
  expect(floors).toEqual([2, 7, 2, 0]);
});

test('property: what a schedule remembers answers like a fresh expansion, at any instant and in any order', () => {
  const zone = fc.constantFrom('Asia/Shanghai', 'Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe');
  const time = fc.integer({ min: 0, max: 1439 }).map((m) => {
    const two = (n: number) => String(n).padStart(2, '0');
    return `${two(Math.floor(m / 60))}:${two(m % 60)}`;
  });
  const minUnits = fc.integer({ min: 0, max: 9 });
  const window: fc.Arbitrary<ScheduleWindow> = fc.oneof(
    fc.record({ kind: fc.constant('daily' as const), from: time, to: time, minUnits }),
    fc.record({
      kind: fc.constant('weekly' as const),
      days: fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1 }),
      from: time,
      to: time,
      minUnits,
    }),
    fc.record({
      kind: fc.constant('cron' as const),
      cron: fc.constantFrom('0 9 * * *', '*/20 * * * *', '15 3 * * 0'),
      minutes: fc.integer({ min: 1, max: 300 }),
      minUnits,
    }),
  );
  const start = ms('2026-03-20T00:00Z');
  const instants = fc.array(fc.integer({ min: 0, max: 20 * 86_400 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(window, { maxLength: 3 }), zone, instants, (windows, zone, seconds) => {
      const schedule = new Schedule(windows, zone);
      for (const s of seconds) {
        const atMs = start + s * 1_000;
        const naive = occurrencesOf(windows, zone, atMs, atMs + 180_000).map((one) => one.minUnits);
        expect(schedule.floorWithin(atMs, atMs + 180_000)).toBe(Math.max(0, ...naive));
      }
    }),
    { numRuns: 60 },
  );
});
