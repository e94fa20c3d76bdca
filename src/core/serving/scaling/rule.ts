import { Temporal } from 'temporal-polyfill';
import { CRON_MINUTES_MAX, cronOf, type ScheduleWindow } from './schedule.ts';

/** What a tenant lets scaling do with a postpaid group. The group's base units are `minUnits`. */
export interface ElasticRule {
  /** 0: to zero when nobody asks, if no prepaid unit is there. */
  readonly minUnits: number;
  readonly maxUnits: number;
  /** IANA; of the windows' times. */
  readonly zone: string;
  readonly windows: readonly ScheduleWindow[];
  /** Fewer units are needed for so long before one is taken back. */
  readonly scaleInAfterMs: number;
  /** Running requests of a unit that is taken back have this long. */
  readonly drainMsMax: number;
  /** Latency that has to hold besides the coefficient: what is measured above it adds units. */
  readonly ttftMsMax: number | null;
  readonly tpotMsMax: number | null;
}

export const RULE_DEFAULTS = {
  windows: [],
  scaleInAfterMs: 300_000,
  drainMsMax: 300_000,
  ttftMsMax: null,
  tpotMsMax: null,
} as const satisfies Partial<ElasticRule>;

export const UNITS_MAX = 10_000;
export const WINDOWS_MAX = 50;
const HOUR_MS = 3_600_000;
const LATENCY_MS_MAX = 600_000;

export interface RuleFault {
  /** Dotted path inside the rule. */
  readonly field: string;
  readonly message: string;
}

/** Everything that is wrong with a rule, for people; empty: it may be used. */
export function faultsOfRule(rule: ElasticRule): RuleFault[] {
  return [
    ...wholeBetween('minUnits', rule.minUnits, 0, UNITS_MAX),
    ...wholeBetween('maxUnits', rule.maxUnits, 1, UNITS_MAX),
    ...(rule.minUnits > rule.maxUnits
      ? [{ field: 'maxUnits', message: `is ${rule.maxUnits}, below the minimum of ${rule.minUnits}` }]
      : []),
    ...wholeBetween('scaleInAfterMs', rule.scaleInAfterMs, 0, 24 * HOUR_MS),
    ...wholeBetween('drainMsMax', rule.drainMsMax, 0, HOUR_MS),
    ...(rule.ttftMsMax === null ? [] : wholeBetween('ttftMsMax', rule.ttftMsMax, 1, LATENCY_MS_MAX)),
    ...(rule.tpotMsMax === null ? [] : wholeBetween('tpotMsMax', rule.tpotMsMax, 1, LATENCY_MS_MAX)),
    ...(isZone(rule.zone) ? [] : [{ field: 'zone', message: `"${rule.zone}" is no IANA time zone` }]),
    ...(rule.windows.length > WINDOWS_MAX
      ? [{ field: 'windows', message: `${rule.windows.length} are too many: at most ${WINDOWS_MAX}` }]
      : rule.windows.flatMap((window, i) => faultsOfWindow(window, `windows.${i}`, rule))),
  ];
}

function faultsOfWindow(window: ScheduleWindow, field: string, rule: ElasticRule): RuleFault[] {
  const faults = [...wholeBetween(`${field}.minUnits`, window.minUnits, 0, UNITS_MAX)];
  if (window.minUnits > rule.maxUnits) {
    faults.push({
      field: `${field}.minUnits`,
      message: `is ${window.minUnits}, above the rule's maximum of ${rule.maxUnits}`,
    });
  }
  if (window.kind === 'cron') return [...faults, ...faultsOfCron(window, field, rule.zone)];
  for (const end of ['from', 'to'] as const) {
    if (!/^([01]\d|2[0-3]):[0-5]\d$/.test(window[end])) {
      faults.push({ field: `${field}.${end}`, message: `"${window[end]}" is no time of day, as in 09:30` });
    }
  }
  if (window.kind === 'weekly') faults.push(...faultsOfDays(window.days, `${field}.days`));
  if (window.kind === 'once' && !isDate(window.date)) {
    faults.push({ field: `${field}.date`, message: `"${window.date}" is no day, as in 2026-11-30` });
  }
  return faults;
}

function faultsOfDays(days: readonly number[], field: string): RuleFault[] {
  if (days.length === 0) return [{ field, message: 'name a day at least: 1 = Monday … 7 = Sunday' }];
  return days
    .filter((day, i) => !Number.isInteger(day) || day < 1 || day > 7 || days.indexOf(day) !== i)
    .map((day) => ({ field, message: `${day} is no day of the week, or is there twice: 1 = Monday … 7 = Sunday` }));
}

function faultsOfCron(window: Extract<ScheduleWindow, { kind: 'cron' }>, field: string, zone: string): RuleFault[] {
  const faults = wholeBetween(`${field}.minutes`, window.minutes, 1, CRON_MINUTES_MAX);
  try {
    cronOf(window.cron, isZone(zone) ? zone : 'UTC');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    faults.push({ field: `${field}.cron`, message: `"${window.cron.slice(0, 100)}" is no cron expression: ${why}` });
  }
  return faults;
}

function wholeBetween(field: string, value: number, min: number, max: number): RuleFault[] {
  if (Number.isInteger(value) && value >= min && value <= max) return [];
  return [{ field, message: `has to be a whole number from ${min} to ${max}` }];
}

function isZone(zone: string): boolean {
  try {
    Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(zone);
    // An offset or a bare abbreviation has no rules of summer time.
    return zone === 'UTC' || zone.includes('/');
  } catch {
    return false;
  }
}

function isDate(text: string): boolean {
  try {
    return Temporal.PlainDate.from(text).toString() === text;
  } catch {
    return false;
  }
}
