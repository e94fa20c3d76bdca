import { Admission, type AdmissionLimits, type Reservation } from '../../core/serving/admission.ts';
import { workOf } from '../../core/serving/work.ts';
import type { Job } from './job.ts';
import type { UnitRates } from './types.ts';

/** Who gets in. The same calls for Cubit's admission and those it is measured against. */
export interface Gate {
  fits(job: Job, nowMs: number): boolean;
  /** What it holds for the request until it leaves. */
  enter(job: Job, nowMs: number): unknown;
  prefilled(job: Job): void;
  leave(job: Job, nowMs: number): void;
  setReadyUnits(units: number, nowMs: number): void;
  /** When the same request may fit though nothing has left; Infinity: only when something leaves. */
  wakeMs(job: Job, nowMs: number): number;
}

/** core/serving/admission.ts, as the gateway uses it. */
export class CubitGate implements Gate {
  readonly #admission: Admission;
  readonly #rates: UnitRates;
  readonly #limits: Omit<AdmissionLimits, 'readyUnits'>;

  constructor(rates: UnitRates, limits: Omit<AdmissionLimits, 'readyUnits'>) {
    this.#rates = rates;
    this.#limits = limits;
    this.#admission = new Admission({ ...limits, readyUnits: 0 }, 0);
  }

  fits({ estimate }: Job, nowMs: number): boolean {
    return this.#admission.fit(estimate, nowMs).fits;
  }

  enter({ estimate }: Job, nowMs: number): Reservation {
    return this.#admission.reserve(estimate, nowMs);
  }

  prefilled({ ticket }: Job): void {
    this.#admission.prefilled(ticket as Reservation);
  }

  leave(job: Job, nowMs: number): void {
    const { cachedTokens, outputTokens, promptTokens } = job;
    const actual = workOf(this.#rates.coefficients, { promptTokens, cachedTokens, outputTokens });
    this.#admission.settle(job.ticket as Reservation, actual, nowMs);
  }

  setReadyUnits(readyUnits: number, nowMs: number): void {
    this.#admission.setLimits({ ...this.#limits, readyUnits }, nowMs);
  }

  wakeMs({ estimate }: Job, nowMs: number): number {
    const fit = this.#admission.fit(estimate, nowMs);
    return fit.fits ? nowMs : fit.because === 'bucket' ? nowMs + fit.waitMs : Number.POSITIVE_INFINITY;
  }
}
