import { Temporal } from 'temporal-polyfill';
import { occupiedUnits } from './load.ts';
import type { ScalingObservation } from './observation.ts';
import { TimeWindow } from './window.ts';

/**
 * What load usually does at this time of the week within a start-up time, for units that have to be launched before they
 * are needed. Used only while it has lately been better than taking load as lasting, and only to hold more.
 */

/** Of a week. */
export const BUCKET_MS = 300_000;
export const BUCKETS = 2_016;
const WEEK_MS = BUCKET_MS * BUCKETS;
const HOUR_MS = 3_600_000;
const SMOOTHING_MS = 30_000;
/** Weight of a new week over those before. */
const WEEK_WEIGHT = 0.4;
/** How fast past errors are forgotten. */
const MEMORY_MS = 86_400_000;
/** Time with predictions that came due before they count for anything. */
const EVIDENCE_MS = 7_200_000;
/** Error of the forecast ÷ error of load that stays as it is, at most. */
const SKILL_ERROR_MAX = 0.85;
/** Never more than so many times the load of now, and two units: an old week cannot buy a fleet. */
const RISE_MAX = 4;
const RISE_UNITS = 2;

/** What is remembered over restarts; plain data. Mean load of each five minutes of the week, −1 where none was seen. */
export interface WeekProfile {
  readonly load: readonly number[];
}

export interface Forecast {
  /** Full units at the end of a start-up time, at least those of now. */
  readonly load: number;
  /** 1 − its error ÷ that of load that stays as it is; 1 is perfect. */
  readonly skill: number;
}

interface Due {
  readonly atMs: number;
  readonly forecast: number;
  readonly stays: number;
  readonly windowMs: number;
}

/** The week of one served model in its rule's zone. Pure; called with times that never go back. */
export class WeekForecast {
  readonly #zone: string;
  readonly #load: number[];
  readonly #recent = new TimeWindow(SMOOTHING_MS);
  #due: Due[] = [];
  #forecastError = 0;
  #staysError = 0;
  #evidenceMs = 0;
  #bucket = -1;
  #sum = 0;
  #count = 0;
  #offsetMs = 0;
  #offsetUntilMs = Number.NEGATIVE_INFINITY;
  /** Grows with every five minutes that were learned; what is stored is of one of them. */
  version = 0;

  constructor(zone: string, profile: WeekProfile | null = null) {
    this.#zone = zone;
    const known = profile?.load.length === BUCKETS ? profile.load : [];
    this.#load = Array.from({ length: BUCKETS }, (_, i) => {
      const load = known[i];
      return load !== undefined && Number.isFinite(load) && load >= 0 ? load : -1;
    });
  }

  profile(): WeekProfile {
    return { load: this.#load.map((load) => Math.round(load * 100) / 100) };
  }

  /** Takes in what is seen; null while there is no history or it has not helped. */
  ahead(seen: ScalingObservation, nowMs: number): Forecast | null {
    this.#recent.add(nowMs, occupiedUnits(seen));
    const load = this.#recent.mean();
    this.#learn(load, nowMs);
    this.#judge(load, nowMs);
    const dueMs = nowMs + seen.startupMs;
    const [usualNow, usualThen] = [this.#usual(nowMs), this.#usual(dueMs)];
    if (usualNow === null || usualThen === null) return null;
    const ceiling = RISE_MAX * load + RISE_UNITS;
    const forecast = Math.min(ceiling, Math.max(0, load + usualThen - usualNow));
    this.#due.push({ atMs: dueMs, forecast, stays: load, windowMs: seen.windowMs });
    const helps = this.#evidenceMs >= EVIDENCE_MS && this.#forecastError <= SKILL_ERROR_MAX * this.#staysError;
    if (!helps || this.#staysError === 0) return null;
    return { load: Math.max(load, forecast), skill: 1 - this.#forecastError / this.#staysError };
  }

  #learn(load: number, nowMs: number): void {
    const bucket = Math.floor(this.#weekMs(nowMs) / BUCKET_MS);
    if (bucket !== this.#bucket && this.#count > 0) {
      const mean = this.#sum / this.#count;
      const before = this.#load[this.#bucket]!;
      this.#load[this.#bucket] = before < 0 ? mean : before + WEEK_WEIGHT * (mean - before);
      this.#sum = 0;
      this.#count = 0;
      this.version += 1;
    }
    this.#bucket = bucket;
    this.#sum += load;
    this.#count += 1;
  }

  /** Compares predictions that are due with what came. */
  #judge(load: number, nowMs: number): void {
    let first = 0;
    for (; first < this.#due.length && this.#due[first]!.atMs <= nowMs; first += 1) {
      const { forecast, stays, windowMs } = this.#due[first]!;
      const keeps = Math.exp(-windowMs / MEMORY_MS);
      this.#forecastError = this.#forecastError * keeps + Math.abs(forecast - load) * windowMs;
      this.#staysError = this.#staysError * keeps + Math.abs(stays - load) * windowMs;
      this.#evidenceMs = this.#evidenceMs * keeps + windowMs;
    }
    if (first > 0) this.#due = this.#due.slice(first);
  }

  /** Between the middles of buckets; null where one was never seen. */
  #usual(atMs: number): number | null {
    const place = this.#weekMs(atMs) / BUCKET_MS - 0.5;
    const at = (bucket: number) => this.#load[(bucket + BUCKETS) % BUCKETS]!;
    const [before, after] = [at(Math.floor(place)), at(Math.floor(place) + 1)];
    if (before < 0 || after < 0) return null;
    return before + (place - Math.floor(place)) * (after - before);
  }

  /** Since Monday began in the zone, as its clocks show. */
  #weekMs(atMs: number): number {
    if (atMs >= this.#offsetUntilMs || atMs < this.#offsetUntilMs - HOUR_MS) {
      const hourMs = Math.floor(atMs / HOUR_MS) * HOUR_MS;
      const zoned = Temporal.Instant.fromEpochMilliseconds(hourMs).toZonedDateTimeISO(this.#zone);
      this.#offsetMs = zoned.offsetNanoseconds / 1e6;
      this.#offsetUntilMs = hourMs + HOUR_MS;
    }
    // 1970 began on a Thursday.
    const sinceMonday = (atMs + this.#offsetMs + 3 * 24 * HOUR_MS) % WEEK_MS;
    return (sinceMonday + WEEK_MS) % WEEK_MS;
  }
}
