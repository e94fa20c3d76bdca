import type { Gate } from '../cluster/gate.ts';
import type { Job } from '../cluster/job.ts';

/** No limit at the door: engines queue. */
export class OpenGate implements Gate {
  fits(): boolean {
    return true;
  }

  enter(): null {
    return null;
  }

  prefilled(): void {}

  leave(): void {}

  setReadyUnits(): void {}

  wakeMs(_job: Job, nowMs: number): number {
    return nowMs;
  }
}

/**
 * What clouds and gateways do by tokens per minute: a bucket that fills at a flat rate of tokens for each ready unit; a
 * request takes prompt + expected output, and what it did not use comes back at its end.
 */
export class FlatTokenBucket implements Gate {
  readonly #tokensPerS: number;
  readonly #burstS: number;
  #units = 0;
  #level = 0;
  #atMs = 0;

  /** `burstS`: seconds' worth of tokens that may be used at once. */
  constructor(tokensPerS: number, burstS: number) {
    this.#tokensPerS = tokensPerS;
    this.#burstS = burstS;
  }

  fits({ estimate }: Job, nowMs: number): boolean {
    this.#drain(nowMs);
    const capacity = this.#tokensPerS * this.#units * this.#burstS;
    return this.#level + estimate.kvTokens <= capacity || this.#level === 0;
  }

  enter({ estimate }: Job, nowMs: number): null {
    this.#drain(nowMs);
    this.#level += estimate.kvTokens;
    return null;
  }

  prefilled(): void {}

  leave({ estimate, outputTokens, promptTokens }: Job, nowMs: number): void {
    this.#drain(nowMs);
    this.#level = Math.max(0, this.#level + promptTokens + outputTokens - estimate.kvTokens);
  }

  setReadyUnits(units: number, nowMs: number): void {
    this.#drain(nowMs);
    this.#units = units;
  }

  wakeMs({ estimate }: Job, nowMs: number): number {
    this.#drain(nowMs);
    const rate = this.#tokensPerS * this.#units;
    if (rate <= 0) return Number.POSITIVE_INFINITY;
    const over = Math.min(this.#level, this.#level + estimate.kvTokens - rate * this.#burstS);
    return nowMs + Math.max(1, (1000 * Math.max(0, over)) / rate);
  }

  #drain(nowMs: number): void {
    const rate = this.#tokensPerS * this.#units;
    this.#level = Math.max(0, this.#level - (rate * Math.max(0, nowMs - this.#atMs)) / 1000);
    this.#atMs = Math.max(this.#atMs, nowMs);
  }
}

/** A flat cap on prompt + expected output tokens of requests that are inside, for each ready unit. */
export class InFlightTokens implements Gate {
  readonly #tokensPerUnit: number;
  #units = 0;
  #tokens = 0;

  constructor(tokensPerUnit: number) {
    this.#tokensPerUnit = tokensPerUnit;
  }

  fits({ estimate }: Job): boolean {
    return this.#tokens === 0 || this.#tokens + estimate.kvTokens <= this.#tokensPerUnit * this.#units;
  }

  enter({ estimate }: Job): null {
    this.#tokens += estimate.kvTokens;
    return null;
  }

  prefilled(): void {}

  leave({ estimate }: Job): void {
    this.#tokens -= estimate.kvTokens;
  }

  setReadyUnits(units: number): void {
    this.#units = units;
  }

  wakeMs(): number {
    return Number.POSITIVE_INFINITY;
  }
}
