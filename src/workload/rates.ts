import { CubitError } from '../core/errors.ts';
import { arrivalTimesMs } from './arrivals.ts';
import { childSeed, seededRandom } from './random.ts';
import { isTokenCount, type TraceRequest } from './trace.ts';

/** Requests that are all alike and come at random, at rates that change in steps: what a load test writes down. */
export interface RateSteps {
  readonly ratesPerS: readonly number[];
  /** Each rate lasts so long. */
  readonly stepS: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

const FORM = '{"ratesPerS": [15, 2, …], "stepS": 150, "promptTokens": 1000, "outputTokens": 1000}';

/** Throws `invalid_request` on what is not of this form. */
export function parseRateSteps(text: string): RateSteps {
  const value = objectOf(text) as Partial<Record<keyof RateSteps, unknown>> | null;
  const { outputTokens, promptTokens, ratesPerS, stepS } = value ?? {};
  const rates = Array.isArray(ratesPerS) ? ratesPerS : [];
  const isRate = (rate: unknown) => typeof rate === 'number' && Number.isFinite(rate) && rate >= 0;
  const lasts = typeof stepS === 'number' && Number.isFinite(stepS) && stepS > 0;
  if (rates.length > 0 && rates.every(isRate) && lasts && isTokenCount(promptTokens) && isTokenCount(outputTokens)) {
    return { ratesPerS: rates, stepS, promptTokens, outputTokens };
  }
  throw new CubitError('invalid_request', `This is not of the form ${FORM}: ${text.trim().slice(0, 60)}`);
}

/** Poisson arrivals one by one, in order of time. */
export function* streamRateSteps(steps: RateSteps, seed: number): Generator<TraceRequest> {
  const { outputTokens, promptTokens, ratesPerS, stepS } = steps;
  for (const [index, ratePerS] of ratesPerS.entries()) {
    if (ratePerS === 0) continue;
    const random = seededRandom(childSeed(seed, index));
    for (const withinMs of arrivalTimesMs({ kind: 'poisson', ratePerS }, random)) {
      if (withinMs >= 1000 * stepS) break;
      yield { atMs: 1000 * stepS * index + withinMs, promptTokens, outputTokens };
    }
  }
}

function objectOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
