import { CubitError } from '../../errors.ts';
import { checkMix, type LengthClass, type LengthMix, mixOf, type Shape, type Spread } from '../unit/mix.ts';

/** What is asked of an endpoint: how much over a day, how long, and how it changes by the hour. */
export interface Traffic {
  /** Over the whole day, mean. */
  readonly requestsPerS: number;
  readonly mix: LengthMix;
  /** 24 factors of mean 1, one for each hour of the day; all 1 where nothing is known. */
  readonly hourlyFactors: readonly number[];
}

/** One request of a trace or of recorded usage. */
export interface TrafficRow extends Shape {
  readonly atMs: number;
}

const REQUESTS_PER_MINUTE_MAX = 1e9;
const HOUR_MS = 3_600_000;
const FLAT = Array.from({ length: 24 }, () => 1);
/**
 * Where many lengths are parted to be merged: by what has to be prefilled, each part by output. Narrow at the long end,
 * which tails and waits come from.
 */
const PREFILL_EDGES = [0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.88, 0.93, 0.96, 0.98, 0.99];
const OUTPUT_EDGES = [0.3, 0.6, 0.8, 0.93];

/** Requests per minute, mean lengths, and the share of the prompt that a cache serves. Throws `invalid_request`. */
export function trafficOfAverages(input: {
  readonly requestsPerMinute: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly cachedShare: number;
  readonly spread: Spread;
  readonly hourlyFactors: readonly number[] | null;
}): Traffic {
  const { cachedShare, outputTokens, promptTokens, spread } = input;
  if (!(cachedShare >= 0 && cachedShare <= 1)) {
    throw new CubitError('invalid_request', `A cached share of ${cachedShare} cannot be: it goes from 0 to 1.`);
  }
  const shape = { promptTokens, outputTokens, cachedTokens: promptTokens * cachedShare };
  checkMix([{ ...shape, weight: 1 }]);
  return trafficOfMix(mixOf(shape, spread), input.requestsPerMinute, input.hourlyFactors);
}

/** Requests per minute whose lengths are given as a histogram. Throws `invalid_request`. */
export function trafficOfMix(
  mix: LengthMix,
  requestsPerMinute: number,
  hourlyFactors: readonly number[] | null,
): Traffic {
  checkMix(mix);
  if (!(requestsPerMinute > 0 && requestsPerMinute <= REQUESTS_PER_MINUTE_MAX)) {
    const range = `more than 0 and at most ${REQUESTS_PER_MINUTE_MAX}`;
    throw new CubitError('invalid_request', `${requestsPerMinute} requests a minute cannot be: give ${range}.`);
  }
  return { requestsPerS: requestsPerMinute / 60, mix: compressed(mix), hourlyFactors: factorsOf(hourlyFactors) };
}

/**
 * Requests as they came, in any order: their lengths, their mean rate from the first to the last, and, where they span a
 * day or more, how each hour of the day (UTC) differs. Throws `invalid_request` on fewer than two instants.
 */
export function trafficOfRows(rows: readonly TrafficRow[]): Traffic {
  let firstMs = Number.POSITIVE_INFINITY;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const { atMs } of rows) {
    firstMs = Math.min(firstMs, atMs);
    lastMs = Math.max(lastMs, atMs);
  }
  if (!(lastMs > firstMs)) {
    throw new CubitError(
      'invalid_request',
      `${rows.length} requests at one instant say nothing about a rate: give a longer record, or averages.`,
    );
  }
  const mix = rows.map(({ promptTokens, cachedTokens, outputTokens }) => ({
    ...{ promptTokens, cachedTokens, outputTokens },
    weight: 1,
  }));
  checkMix(mix);
  return {
    requestsPerS: ((rows.length - 1) * 1e3) / (lastMs - firstMs),
    mix: compressed(mix),
    hourlyFactors: lastMs - firstMs < 24 * HOUR_MS ? FLAT : hoursOf(rows, firstMs, lastMs),
  };
}

/** Requests per hour of the day over how often that hour is in the record, of mean 1. */
function hoursOf(rows: readonly TrafficRow[], firstMs: number, lastMs: number): number[] {
  const hourOf = (atMs: number) => ((Math.floor(atMs / HOUR_MS) % 24) + 24) % 24;
  const counts = FLAT.map(() => 0);
  const seen = FLAT.map(() => 0);
  for (const { atMs } of rows) counts[hourOf(atMs)] = (counts[hourOf(atMs)] as number) + 1;
  for (let atMs = firstMs; atMs < lastMs; ) {
    const nextMs = Math.min(lastMs, (Math.floor(atMs / HOUR_MS) + 1) * HOUR_MS);
    seen[hourOf(atMs)] = (seen[hourOf(atMs)] as number) + (nextMs - atMs);
    atMs = nextMs;
  }
  return scaled(counts.map((count, hour) => count / Math.max(1, seen[hour] as number)));
}

/** Throws `invalid_request` unless there are 24, none negative and not all zero. */
function factorsOf(factors: readonly number[] | null): readonly number[] {
  if (factors === null) return FLAT;
  const sum = factors.reduce((total, factor) => total + factor, 0);
  if (factors.length !== 24 || !factors.every((factor) => factor >= 0) || !(sum > 0 && sum < 1e12)) {
    throw new CubitError(
      'invalid_request',
      `A daily shape is 24 numbers from midnight on, none negative and not all 0; here are ${factors.length}.`,
    );
  }
  return scaled(factors);
}

function scaled(factors: readonly number[]): number[] {
  const mean = factors.reduce((total, factor) => total + factor, 0) / factors.length;
  return factors.map((factor) => factor / mean);
}

/** At most 60 kinds of requests with the same means: those of about the same lengths become one. */
function compressed(mix: LengthMix): LengthMix {
  if (mix.length <= (PREFILL_EDGES.length + 1) * (OUTPUT_EDGES.length + 1)) return mix;
  return partsOf(mix, PREFILL_EDGES, ({ promptTokens, cachedTokens }) => promptTokens - cachedTokens)
    .flatMap((part) => partsOf(part, OUTPUT_EDGES, ({ outputTokens }) => outputTokens))
    .map(merged);
}

/** Consecutive parts by `figure`, cut where these shares of the weight are reached; none is empty. */
function partsOf(mix: LengthMix, edges: readonly number[], figure: (kind: LengthClass) => number): LengthClass[][] {
  const total = mix.reduce((sum, { weight }) => sum + weight, 0);
  const parts: LengthClass[][] = [[]];
  let before = 0;
  let edge = 0;
  for (const kind of mix.toSorted((a, b) => figure(a) - figure(b))) {
    const isOver = edge < edges.length && before >= (edges[edge] as number) * total;
    while (edge < edges.length && before >= (edges[edge] as number) * total) edge += 1;
    if (isOver) parts.push([]);
    parts.at(-1)?.push(kind);
    before += kind.weight;
  }
  return parts;
}

function merged(part: LengthMix): LengthClass {
  const weight = part.reduce((sum, kind) => sum + kind.weight, 0);
  const mean = (of: (kind: LengthClass) => number) =>
    part.reduce((sum, kind) => sum + (kind.weight * of(kind)) / weight, 0);
  const promptTokens = mean((kind) => kind.promptTokens);
  return {
    promptTokens,
    // Rounding must not make more cached than there is.
    cachedTokens: Math.min(
      promptTokens,
      mean((kind) => kind.cachedTokens),
    ),
    outputTokens: mean((kind) => kind.outputTokens),
    weight,
  };
}
