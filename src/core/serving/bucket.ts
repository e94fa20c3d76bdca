/**
 * A contract bucket: work that was let in and that the bought units have not had time for yet. The level drains at what
 * the ready units supply; a request enters when it fits under the capacity, or when the bucket is empty, so that one
 * larger than the capacity still enters and never starves. One bucket per pool of a template. DESIGN §5.1.
 */
export interface Bucket {
  readonly levelUs: number;
  /** The latest instant seen; a clock that goes back changes nothing. */
  readonly atMs: number;
  readonly units: number;
  /** The part of rate and capacity that is this bucket's, where several stand for one contract; 1 = all of it. */
  readonly share: number;
}

/** Unit-microseconds that one unit supplies in a millisecond. */
const US_PER_UNIT_MS = 1_000;

export function emptyBucket(units: number, nowMs: number): Bucket {
  return { levelUs: 0, atMs: nowMs, units, share: 1 };
}

/** How long a burst may run ahead of the units, in seconds: few units are lumpy and get longer, many get 5 s. */
export function burstWindowS(units: number): number {
  return Math.min(30, Math.max(5, 30 / Math.sqrt(units)));
}

export function capacityUs(units: number): number {
  return units <= 0 ? 0 : Math.floor(units * US_PER_UNIT_MS * 1_000 * burstWindowS(units));
}

export function drained(bucket: Bucket, nowMs: number): Bucket {
  if (nowMs <= bucket.atMs) return bucket;
  const suppliedUs = (nowMs - bucket.atMs) * bucket.units * bucket.share * US_PER_UNIT_MS;
  return { ...bucket, levelUs: Math.max(0, bucket.levelUs - suppliedUs), atMs: nowMs };
}

/** Time before this instant counts at the old rate. */
export function withUnits(bucket: Bucket, units: number, nowMs: number, share = 1): Bucket {
  return { ...drained(bucket, nowMs), units, share };
}

/** Adds work, or with a negative delta gives some back. */
export function added(bucket: Bucket, deltaUs: number, nowMs: number): Bucket {
  const now = drained(bucket, nowMs);
  return { ...now, levelUs: Math.max(0, now.levelUs + deltaUs) };
}

/** Milliseconds until `workUs` fits behind `aheadUs` of work that is waiting; 0 = now, Infinity = no unit is ready. */
export function drainMs(bucket: Bucket, workUs: number, nowMs: number, aheadUs = 0): number {
  if (bucket.units <= 0) return Number.POSITIVE_INFINITY;
  const levelUs = drained(bucket, nowMs).levelUs + aheadUs;
  const roomAtUs = Math.max(0, capacityUs(bucket.units) * bucket.share - workUs);
  return levelUs <= roomAtUs
    ? 0
    : Math.max(1, Math.ceil((levelUs - roomAtUs) / (bucket.units * bucket.share * US_PER_UNIT_MS)));
}
