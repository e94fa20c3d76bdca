/** How a request ended: each has exactly one (invariant 1). Low cardinality, for metrics; `cause` on the receipt says more. */
export const OUTCOMES = [
  'completed', // the whole answer was delivered
  'cancelled', // the client went away, queued or streaming
  'rejected_input', // malformed, unsupported, too long
  'rejected_identity', // no such key, endpoint or right
  'rejected_capacity', // 429: no model units left within the wait that was allowed
  'rejected_unready', // 503: no unit is ready
  'expired', // waited in the queue until its deadline
  'failed', // the engine failed before the first byte
  'interrupted', // the engine failed after the first byte: partial output and an error event
  'dry_run', // asked what would happen
] as const;

export type Outcome = (typeof OUTCOMES)[number];
