/**
 * When a notice that did not arrive is sent again: 10 s after the first attempt, then four times as long each time, at
 * most 6 h; each wait is spread by ± 25 % so that what failed together is not tried together. Ten attempts over 16 to
 * 28 hours, then it is given up.
 */
export const ATTEMPTS_MAX = 10;
const FIRST_WAIT_MS = 10_000;
const GROWTH = 4;
const WAIT_MS_MAX = 6 * 3_600_000;
const SPREAD = 0.25;

/** The wait after the `attempts`-th failed attempt (1, 2, …), or null when that was the last. `random` in [0, 1). */
export function retryWaitMs(attempts: number, random: number): number | null {
  if (attempts >= ATTEMPTS_MAX) return null;
  const waitMs = Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * GROWTH ** (attempts - 1));
  return Math.round(waitMs * (1 - SPREAD + 2 * SPREAD * random));
}
