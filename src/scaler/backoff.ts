import type { Row } from '../store/schema.ts';

/** After a failed start the next one waits, longer each time. */
const BACKOFF_FIRST_MS = 10_000;
const BACKOFF_MS_MAX = 300_000;
/** A unit that was ready for less before it failed is no better than a start that failed: it flaps. */
export const WELL_MS = 300_000;

export type EndedUnit = Pick<Row<'elastic_units'>, 'state' | 'ready_at_ms' | 'ended_at_ms'>;

/** How many of a group's last units, the latest first, failed in a row; those that were cancelled or run yet say nothing. */
export function failuresInARow(latestFirst: readonly EndedUnit[]): number {
  let failures = 0;
  for (const { ended_at_ms, ready_at_ms, state } of latestFirst) {
    if (state === 'failed') {
      if (ready_at_ms !== null && (ended_at_ms ?? 0) - ready_at_ms >= WELL_MS) return failures;
      failures += 1;
    } else if (ready_at_ms !== null) return failures;
  }
  return failures;
}

/** Until when no unit is launched; 0: at once. */
export function backsOffUntilMs(latestFirst: readonly EndedUnit[]): number {
  const failures = failuresInARow(latestFirst);
  if (failures === 0) return 0;
  const last = latestFirst.find(({ state }) => state === 'failed');
  return (last?.ended_at_ms ?? 0) + Math.min(BACKOFF_MS_MAX, BACKOFF_FIRST_MS * 2 ** (failures - 1));
}
