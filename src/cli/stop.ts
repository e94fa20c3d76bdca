/** One Ctrl-C comes several times: from the terminal, and passed on by npm and by the bootstrap. */
const SAME_PRESS_MS = 500;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Stop {
  readonly asked: boolean;
  /** Resolves when all is down; rejects when stopping failed. */
  readonly done: Promise<void>;
}

/**
 * First press: running requests finish, bounded by `drainMs`. Second: at once. Third: this process ends as it is.
 */
export function stopOnSignals(
  process: Pick<NodeJS.Process, 'on' | 'exit'>,
  cubit: { close(drainMs: number): Promise<void> },
  { drainMs, say }: { readonly drainMs: number; readonly say: (line: string) => void },
): Stop {
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  let presses = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  const press = () => {
    const nowMs = performance.now();
    if (nowMs - lastMs < SAME_PRESS_MS) return;
    lastMs = nowMs;
    presses += 1;
    if (presses > 2) process.exit(1);
    if (presses === 1) {
      say(`\nStopping: running requests have ${drainMs / 1000} s to finish (again to stop at once) …`);
      cubit.close(drainMs).then(resolve, reject);
    } else {
      say('Stopping at once.');
      cubit.close(0).catch(reject);
    }
  };
  for (const signal of SIGNALS) process.on(signal, press);
  return {
    get asked() {
      return presses > 0;
    },
    done,
  };
}
