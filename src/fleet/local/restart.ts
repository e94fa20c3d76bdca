export interface RestartPolicy {
  readonly delayMsMin: number;
  readonly delayMsMax: number;
  /** More crashes than this within `windowMs`, and the replica is given up. */
  readonly crashesMax: number;
  readonly windowMs: number;
}

export const RESTART_POLICY: RestartPolicy = {
  delayMsMin: 500,
  delayMsMax: 30_000,
  crashesMax: 5,
  windowMs: 300_000,
};

/** What follows a crash: how long to wait before the next start, doubled with every recent crash; null = give up. */
export function restartDelayMs(crashesAtMs: readonly number[], nowMs: number, policy: RestartPolicy): number | null {
  const recent = crashesAtMs.filter((atMs) => nowMs - atMs < policy.windowMs).length;
  if (recent > policy.crashesMax) return null;
  return Math.min(policy.delayMsMin * 2 ** Math.max(0, recent - 1), policy.delayMsMax);
}
