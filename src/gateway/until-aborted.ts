import type { CancelSignal } from '../engine/port.ts';

/** Ends when the work ends or the signal aborts, whichever is first: an engine that hangs cannot hold the request. */
export function untilAborted<T>(signal: CancelSignal, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener('abort', abort);
    // An engine may answer an abort with an error of its own; the reason says more.
    const failed = (error: unknown) => reject(signal.aborted ? signal.reason : error);
    void work()
      .then(resolve, failed)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}
