import { Cron } from 'croner';
import { Temporal } from 'temporal-polyfill';

/**
 * A stretch of time in which an elastic rule holds more units ready, repeated by the day, the week or a cron expression,
 * or once. Times are those of the rule's zone. `to` at or before `from` is on the day after: windows may span midnight.
 * Where clocks skip a time, the window begins or ends with the first instant after the gap; where they show it twice, with the first.
 */
export type ScheduleWindow = { readonly minUnits: number } & (
  | { readonly kind: 'daily'; readonly from: string; readonly to: string }
  /** 1 = Monday … 7 = Sunday: the day on which it begins. */
  | { readonly kind: 'weekly'; readonly days: readonly number[]; readonly from: string; readonly to: string }
  /** `YYYY-MM-DD` */
  | { readonly kind: 'once'; readonly date: string; readonly from: string; readonly to: string }
  /** Five fields: minute, hour, day of month, month, day of week. */
  | { readonly kind: 'cron'; readonly cron: string; readonly minutes: number }
);

/** [fromMs, toMs), epoch milliseconds. */
export interface Occurrence {
  readonly fromMs: number;
  readonly toMs: number;
  readonly minUnits: number;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
export const CRON_MINUTES_MAX = 10_080;
/** Of one cron window in one expansion: every minute for two weeks. */
const CRON_RUNS_MAX = 20_160;

/** The occurrences of all windows that touch [fromMs, toMs], by their beginning. */
export function occurrencesOf(
  windows: readonly ScheduleWindow[],
  zone: string,
  fromMs: number,
  toMs: number,
): Occurrence[] {
  const all = windows.flatMap((window) =>
    window.kind === 'cron' ? cronRuns(window, zone, fromMs, toMs) : dayRuns(window, zone, fromMs, toMs),
  );
  return all.filter((one) => one.fromMs <= toMs && one.toMs > fromMs).sort((a, b) => a.fromMs - b.fromMs);
}

type DayWindow = Exclude<ScheduleWindow, { kind: 'cron' }>;

function dayRuns(window: DayWindow, zone: string, fromMs: number, toMs: number): Occurrence[] {
  if (window.kind === 'once') return [occurrenceOn(Temporal.PlainDate.from(window.date), window, zone)];
  const runs: Occurrence[] = [];
  const last = dateAt(toMs, zone);
  // One that began the day before may last until now.
  for (let day = dateAt(fromMs, zone).subtract({ days: 1 }); Temporal.PlainDate.compare(day, last) <= 0; ) {
    if (window.kind === 'daily' || window.days.includes(day.dayOfWeek)) runs.push(occurrenceOn(day, window, zone));
    day = day.add({ days: 1 });
  }
  return runs;
}

function occurrenceOn(day: Temporal.PlainDate, window: DayWindow, zone: string): Occurrence {
  const at = (date: Temporal.PlainDate, plainTime: string) =>
    date.toZonedDateTime({ timeZone: zone, plainTime }).epochMilliseconds;
  const endDay = window.to <= window.from ? day.add({ days: 1 }) : day;
  return { fromMs: at(day, window.from), toMs: at(endDay, window.to), minUnits: window.minUnits };
}

function cronRuns(
  window: Extract<ScheduleWindow, { kind: 'cron' }>,
  zone: string,
  fromMs: number,
  toMs: number,
): Occurrence[] {
  const cron = cronOf(window.cron, zone);
  const runs: Occurrence[] = [];
  // One that begins exactly at the search's start counts: croner gives those strictly after, so it starts a second before.
  let afterMs = fromMs - window.minutes * MINUTE_MS - 1_000;
  for (let i = 0; i < CRON_RUNS_MAX; i++) {
    const startMs = cron.nextRun(isoOf(afterMs))?.getTime();
    if (startMs === undefined || startMs > toMs) break;
    runs.push({ fromMs: startMs, toMs: startMs + window.minutes * MINUTE_MS, minUnits: window.minUnits });
    afterMs = startMs;
  }
  return runs;
}

/** Throws TypeError with croner's words when it is no five-field cron expression. */
export function cronOf(expression: string, zone: string): Cron {
  return new Cron(expression, { timezone: zone, mode: '5-part', paused: true });
}

function isoOf(atMs: number): string {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(atMs)).toString();
}

function dateAt(atMs: number, zone: string): Temporal.PlainDate {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(atMs)).toZonedDateTimeISO(zone).toPlainDate();
}

/**
 * The windows of one rule, expanded a day ahead at a time: asking costs a look at the day's few occurrences, whatever
 * the calendar costs. Pure but for what it remembers.
 */
export class Schedule {
  readonly #windows: readonly ScheduleWindow[];
  readonly #zone: string;
  #fromMs = Number.POSITIVE_INFINITY;
  #toMs = Number.NEGATIVE_INFINITY;
  #occurrences: readonly Occurrence[] = [];

  constructor(windows: readonly ScheduleWindow[], zone: string) {
    this.#windows = windows;
    this.#zone = zone;
  }

  /**
   * The most units that any window wants within [fromMs, toMs]: with `toMs` a start-up time ahead of now, units are
   * ready when the window begins. Overlaps: the highest minimum wins. 0 without windows.
   */
  floorWithin(fromMs: number, toMs: number): number {
    if (this.#windows.length === 0) return 0;
    if (fromMs < this.#fromMs || toMs > this.#toMs) this.#expand(fromMs, toMs);
    let floor = 0;
    for (const one of this.#occurrences) {
      if (one.fromMs > toMs) break;
      if (one.toMs > fromMs) floor = Math.max(floor, one.minUnits);
    }
    return floor;
  }

  #expand(fromMs: number, toMs: number): void {
    this.#fromMs = fromMs;
    this.#toMs = toMs + DAY_MS;
    this.#occurrences = occurrencesOf(this.#windows, this.#zone, this.#fromMs, this.#toMs);
  }
}
