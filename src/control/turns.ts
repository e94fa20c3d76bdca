const RETRY_MS = 1_000;

export interface Turns {
  /** Asks for a turn soon; any number of them before it starts make one. */
  poke(): void;
  /** No more turns; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/**
 * Runs `work` one turn at a time: right after a poke when it has been quiet, at most every `gapMs` when it has not, and
 * every `tickMs` anyway. A turn that throws is reported and made again a second later. Timers keep no process alive.
 */
export function createTurns(options: {
  readonly work: () => Promise<void>;
  readonly gapMs: number;
  readonly tickMs: number;
  readonly failed: (error: unknown) => void;
}): Turns {
  const { work, gapMs, tickMs, failed } = options;
  let timer: NodeJS.Timeout | null = null;
  let running: Promise<void> | null = null;
  let asked = false;
  let stopped = false;
  let endedAtMs = Number.NEGATIVE_INFINITY;

  function schedule(afterMs: number): void {
    if (stopped) return;
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(() => {
      timer = null;
      running = turn();
    }, afterMs).unref();
  }

  async function turn(): Promise<void> {
    asked = false;
    let waitMs = tickMs;
    try {
      await work();
      if (asked) waitMs = gapMs;
    } catch (error) {
      failed(error);
      waitMs = Math.min(tickMs, RETRY_MS);
    }
    endedAtMs = performance.now();
    running = null;
    schedule(waitMs);
  }

  schedule(tickMs);
  return {
    poke() {
      if (asked) return;
      asked = true;
      if (running === null) schedule(Math.max(0, endedAtMs + gapMs - performance.now()));
    },
    async stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
      await running;
    },
  };
}
