import { InvalidArgumentError } from 'commander';
import type { FileFormat } from '../../workload/parse.ts';

/** The command line's texts as figures; commander says what is wrong with one and exits with 2. */
export interface SimulateFlags {
  readonly trace: string;
  readonly format?: FileFormat | 'servegen' | 'rates';
  readonly units?: number;
  readonly cacheTokens?: number;
  readonly stepTokens?: number | 'auto';
  readonly routing: 'cubit' | 'round-robin' | 'least-loaded' | 'session';
  readonly admission: 'cubit' | 'flat-tokens' | 'in-flight' | 'none';
  readonly flatTokensPerS?: number;
  readonly inFlightTokens?: number;
  readonly scaler: ScalerName;
  readonly coefficient?: number | 'auto';
  readonly min?: number;
  readonly max?: number;
  readonly startupS?: number;
  readonly startupCv: number;
  readonly failureHours?: number;
  readonly pricePerHour?: number;
  readonly ttftMs: number;
  readonly ttftFactor: number;
  readonly tpotMs: number;
  readonly maxWaitS: number;
  readonly warmupS: number;
  readonly timeScale: number;
  readonly rateScale: number;
  readonly jitterS: number;
  readonly hours?: readonly [number, number];
  readonly template?: string;
  readonly unit?: string;
  readonly target: number;
  readonly seed: number;
  readonly html?: string;
}

export const SCALERS = ['cubit', 'static', 'kpa', 'hpa', 'dynamo', 'wva', 'oracle'] as const;
export type ScalerName = (typeof SCALERS)[number];

export function numberFrom(min: number, max = Number.POSITIVE_INFINITY): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isFinite(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Number.POSITIVE_INFINITY
        ? `It wants a number of ${min} or more.`
        : `It wants a number from ${min} to ${max}.`,
    );
  };
}

export function wholeFrom(min: number, max: number): (text: string) => number {
  const number = numberFrom(min, max);
  return (text) => {
    const value = number(text);
    if (Number.isInteger(value)) return value;
    throw new InvalidArgumentError('It wants a whole number.');
  };
}

/** `auto`: the cheapest that reaches the target, found in hindsight. */
export function coefficientFrom(text: string): number | 'auto' {
  return text === 'auto' ? text : numberFrom(0.1, 100)(text);
}

/** `auto`: what keeps the TPOT target. */
export function stepTokensFrom(text: string): number | 'auto' {
  return text === 'auto' ? text : wholeFrom(1, 1e6)(text);
}

/** `6-18`: hours of the trace. */
export function hoursOf(text: string): readonly [number, number] {
  const match = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(text.trim());
  const from = Number(match?.[1]);
  const until = Number(match?.[2]);
  if (match !== null && from < until) return [from, until];
  throw new InvalidArgumentError('It wants two hours of the trace, the first smaller: 6-18.');
}
