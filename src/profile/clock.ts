/** A clock and waiting by it: an engine's own time may stand still while the machine does something else. */
export interface LoadClock {
  readonly nowMs: () => number;
  /** Resolves when the clock has reached this time. */
  readonly until: (atMs: number) => Promise<void>;
}

export function clockOf(nowMs: () => number): LoadClock {
  return {
    nowMs,
    until: async (atMs) => {
      for (let leftMs = atMs - nowMs(); leftMs > 0; leftMs = atMs - nowMs()) {
        await new Promise((resolve) => setTimeout(resolve, leftMs));
      }
    },
  };
}
