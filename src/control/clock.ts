/** A difference that clocks may drift apart, or be set by, without anybody's notice. */
const DRIFT_MS = 60_000;
/** As long as a bill waits for its issue: time to set a clock right. */
const BELIEVED_AFTER_MS = 3_600_000;

/**
 * The wall clock as money trusts it. One that leaps ahead of the machine's uptime (which goes on while the machine
 * sleeps) is believed when it has kept to its new time for an hour; until then time goes on as before, so that a wrong
 * clock charges nobody for hours that have not been. One that is set back is followed at once: what is billed stays
 * billed (`billingMoment`). `leapt` is told of each leap once. All in milliseconds.
 */
export function trustedClock(clocks: {
  wallMs(): number;
  uptimeMs(): number;
  leapt(byMs: number): void;
}): () => number {
  let offsetMs = clocks.wallMs() - clocks.uptimeMs();
  let leaptAtMs: number | null = null;
  return () => {
    const uptimeMs = clocks.uptimeMs();
    const wallMs = clocks.wallMs();
    const aheadMs = wallMs - uptimeMs - offsetMs;
    if (aheadMs > DRIFT_MS) {
      if (leaptAtMs === null) clocks.leapt(aheadMs);
      leaptAtMs ??= uptimeMs;
      if (uptimeMs - leaptAtMs < BELIEVED_AFTER_MS) return Math.round(uptimeMs + offsetMs);
    }
    leaptAtMs = null;
    offsetMs = wallMs - uptimeMs;
    return wallMs;
  };
}
