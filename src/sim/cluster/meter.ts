import type { ScalingObservation } from '../../core/serving/scaling/observation.ts';
import type { SimFleet } from './fleet.ts';
import type { Job } from './job.ts';
import { type Distribution, LogHistogram } from './log-histogram.ts';
import type { Machine } from './machine.ts';
import type { ClusterConfig, SimOutcome } from './types.ts';
import { ratesOf } from './unit.ts';

/** One moment of the run, for plots. Rates are per second since the point before. */
export interface TimelinePoint {
  readonly atMs: number;
  readonly arrivalsPerS: number;
  readonly refusedPerS: number;
  readonly queued: number;
  readonly running: number;
  readonly startingUnits: number;
  readonly readyUnits: number;
  readonly drainingUnits: number;
  readonly ttftMsMean: number | null;
  readonly tpotMsMean: number | null;
}

export interface MeterTotals {
  readonly requests: number;
  readonly completed: number;
  readonly refused: number;
  readonly expired: number;
  readonly failed: number;
  /** Of those after the warm-up. */
  readonly scored: number;
  readonly inTime: number;
  readonly inTimeTokens: number;
  readonly ttftMs: Distribution | null;
  readonly tpotMs: Distribution | null;
  readonly e2eMs: Distribution | null;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly promptBlocks: number;
  readonly cachedBlocks: number;
  readonly outputTokens: number;
}

type WindowCounts = Pick<
  ScalingObservation,
  'arrivals' | 'arrivedWorkUs' | 'refused' | 'completed' | 'ttftMsMean' | 'tpotMsMean'
>;

class Mean {
  sum = 0;
  count = 0;

  add(value: number): void {
    this.sum += value;
    this.count += 1;
  }

  take(): number | null {
    const mean = this.count === 0 ? null : this.sum / this.count;
    this.sum = 0;
    this.count = 0;
    return mean;
  }
}

const POINTS_MAX = 2_000;
/** A unit that was there for less of the run says nothing about balance. */
const BALANCE_SHARE_MIN = 0.1;

/** Counts what happened; memory does not grow with requests. */
export class Meter {
  readonly #config: ClusterConfig;
  readonly #coefficients: ReturnType<typeof ratesOf>['coefficients'];
  readonly #prefillStepMs: number;
  readonly #blockTokens: number;
  readonly #ttft = new LogHistogram();
  readonly #tpot = new LogHistogram();
  readonly #e2e = new LogHistogram();
  readonly #counts = { completed: 0, refused: 0, expired: 0, failed: 0 };
  readonly #rates: { readonly perMs: number; readonly ms: number }[] = [];
  readonly #windowTtft = new Mean();
  readonly #windowTpot = new Mean();
  readonly #pointTtft = new Mean();
  readonly #pointTpot = new Mean();
  #requests = 0;
  #scored = 0;
  #inTime = 0;
  #inTimeTokens = 0;
  #promptTokens = 0;
  #cachedTokens = 0;
  #promptBlocks = 0;
  #cachedBlocks = 0;
  #outputTokens = 0;
  #window = { arrivals: 0, arrivedWorkUs: 0, refused: 0, completed: 0 };
  #point = { arrivals: 0, refused: 0, atMs: 0 };
  #points: TimelinePoint[] = [];
  #everyMs = 0;

  constructor(config: ClusterConfig) {
    this.#config = config;
    this.#coefficients = ratesOf(config.unit).coefficients;
    const engine = config.unit.kind === 'unified' ? config.unit.engine : config.unit.prefill;
    this.#prefillStepMs = engine.step.tau0Us / 1000;
    this.#blockTokens = engine.blockTokens;
  }

  arrived(job: Job): void {
    this.#requests += 1;
    if (job.arrivedMs >= this.#config.warmUpMs) this.#scored += 1;
    this.#window.arrivals += 1;
    this.#window.arrivedWorkUs += job.workUs;
    this.#point.arrivals += 1;
  }

  firstToken(job: Job, atMs: number): void {
    this.#windowTtft.add(atMs - job.arrivedMs);
    this.#pointTtft.add(atMs - job.arrivedMs);
  }

  completed(job: Job, atMs: number): void {
    const { arrivedMs, cachedTokens, firstTokenMs, outputTokens, promptTokens } = job;
    const ttftMs = firstTokenMs - arrivedMs;
    const tpotMs = outputTokens > 1 ? (atMs - firstTokenMs) / (outputTokens - 1) : null;
    this.#window.completed += 1;
    this.#promptTokens += promptTokens;
    this.#cachedTokens += cachedTokens;
    this.#promptBlocks += Math.ceil(promptTokens / this.#blockTokens);
    this.#cachedBlocks += Math.floor(cachedTokens / this.#blockTokens);
    this.#outputTokens += outputTokens;
    if (tpotMs !== null) {
      this.#windowTpot.add(tpotMs);
      this.#pointTpot.add(tpotMs);
    }
    if (arrivedMs < this.#config.warmUpMs) return;
    this.#ttft.add(ttftMs);
    this.#e2e.add(atMs - arrivedMs);
    if (tpotMs !== null) this.#tpot.add(tpotMs);
    const { slo } = this.#config;
    if (ttftMs > this.ttftTargetMs(promptTokens) || (tpotMs ?? 0) > slo.tpotMs) return;
    this.#inTime += 1;
    this.#inTimeTokens += promptTokens + outputTokens;
  }

  /** The target plus a multiple of the prefill alone on an idle unit. */
  ttftTargetMs(promptTokens: number): number {
    const { ttftMs, ttftPrefillFactor } = this.#config.slo;
    const { p0Us, p1Us, p2Us } = this.#coefficients;
    const aloneMs = this.#prefillStepMs + (p0Us + p1Us * promptTokens + (p2Us * promptTokens ** 2) / 2) / 1000;
    return ttftMs + ttftPrefillFactor * aloneMs;
  }

  ended(outcome: SimOutcome): void {
    this.#counts[outcome] += 1;
    if (outcome !== 'refused' && outcome !== 'expired') return;
    this.#window.refused += 1;
    this.#point.refused += 1;
  }

  retired(machine: Machine, nowMs: number): void {
    if (machine.role === 'decode' || machine.readyMs === null) return;
    const ms = nowMs - machine.readyMs;
    if (ms > 0) this.#rates.push({ perMs: machine.assignedTokens / ms, ms });
  }

  /** Counts since the last call, and now and then a point of the timeline. */
  window(nowMs: number, queued: number, fleet: SimFleet): WindowCounts {
    this.#draw(nowMs, queued, fleet);
    const counts = this.#window;
    this.#window = { arrivals: 0, arrivedWorkUs: 0, refused: 0, completed: 0 };
    return { ...counts, ttftMsMean: this.#windowTtft.take(), tpotMsMean: this.#windowTpot.take() };
  }

  get timeline(): readonly TimelinePoint[] {
    return this.#points;
  }

  /** Tokens sent to a machine per time that it was ready: the most over the mean; null with nothing sent. */
  loadMaxOverMean(endMs: number): number | null {
    const counted = this.#rates.filter(({ ms }) => ms >= BALANCE_SHARE_MIN * endMs);
    const mean = counted.reduce((sum, { perMs }) => sum + perMs, 0) / counted.length;
    return mean > 0 ? Math.max(...counted.map(({ perMs }) => perMs)) / mean : null;
  }

  totals(): MeterTotals {
    return {
      requests: this.#requests,
      ...this.#counts,
      scored: this.#scored,
      inTime: this.#inTime,
      inTimeTokens: this.#inTimeTokens,
      ttftMs: this.#ttft.distribution(),
      tpotMs: this.#tpot.distribution(),
      e2eMs: this.#e2e.distribution(),
      promptTokens: this.#promptTokens,
      cachedTokens: this.#cachedTokens,
      promptBlocks: this.#promptBlocks,
      cachedBlocks: this.#cachedBlocks,
      outputTokens: this.#outputTokens,
    };
  }

  #draw(nowMs: number, queued: number, fleet: SimFleet): void {
    const ms = nowMs - this.#point.atMs;
    if (ms <= 0 || ms < this.#everyMs) return;
    const { arrivals, refused } = this.#point;
    this.#points.push({
      atMs: nowMs,
      arrivalsPerS: (1000 * arrivals) / ms,
      refusedPerS: (1000 * refused) / ms,
      queued,
      running: fleet.units.reduce((sum, unit) => sum + unit.running, 0),
      startingUnits: fleet.count('starting'),
      readyUnits: fleet.ready.length,
      drainingUnits: fleet.count('draining'),
      ttftMsMean: this.#pointTtft.take(),
      tpotMsMean: this.#pointTpot.take(),
    });
    this.#point = { arrivals: 0, refused: 0, atMs: nowMs };
    if (this.#points.length < POINTS_MAX) return;
    // Half as many from now on.
    this.#points = this.#points.filter((_, index) => index % 2 === 1);
    this.#everyMs = 2 * Math.max(this.#everyMs, this.#config.scaleEveryMs);
  }
}
