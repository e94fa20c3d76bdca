import type { CubitError } from '../core/errors.ts';
import type { Fit, Reservation } from '../core/serving/admission.ts';
import type { Waiting } from '../core/serving/queue.ts';
import { totalUs } from '../core/serving/work.ts';
import type { Estimated } from './estimate.ts';
import type { Exchange } from './exchange.ts';
import { exhausted, explain, scalingUp } from './explain.ts';
import type { ServedModel, Waiter } from './served.ts';
import { outerShareOf, sharesOf } from './shares.ts';
import type { KeySnapshot } from './snapshot.ts';

export interface AdmitOptions {
  readonly served: ServedModel;
  readonly key: KeySnapshot;
  readonly estimated: Estimated;
  /** What it holds in memory while it waits. */
  readonly bytes: number;
  /** At most; 0 = not at all. */
  readonly waitMs: number;
  readonly monotonicMs: () => number;
}

/** For one round trip to where gateways share, and the turns of others. */
const LEASE_WAIT_MS = 250;

/** Whether it would enter now: behind those that wait, unless it is its share's turn before theirs. */
export function fitBehindQueue(options: AdmitOptions): Fit {
  const { served, estimated, key } = options;
  const { queue } = served;
  const share = outerShareOf(served.snapshot, key);
  if (queue.size === 0) return served.fit(share, estimated);
  const turn = turnOf(options);
  const isNext = queue.isNext(turn) || (!queue.has(share.id) && served.headIsHeldBack());
  const fit = served.fit(share, estimated, isNext ? 0 : queue.aheadUs(turn));
  if (!fit.fits || isNext) return fit;
  return { fits: false, because: served.admission.isLeased ? 'lease' : 'batch', waitMs: 1 };
}

/** How it stands in line. */
function turnOf({ served, key, estimated, bytes, waitMs, monotonicMs }: AdmitOptions): Waiting {
  return {
    workUs: totalUs(estimated.work),
    bytes,
    deadlineMs: monotonicMs() + waitMs,
    shares: sharesOf(served.snapshot, key),
  };
}

/** Whether waiting can help at all: with no unit ready only when one is expected in time. */
export function mayWait({ served, waitMs }: AdmitOptions, fit: Fit): boolean {
  if (!fit.fits && fit.because === 'lease') return true;
  if (fit.fits || waitMs <= 0) return false;
  return fit.because !== 'units' || (served.etaMs() ?? Number.POSITIVE_INFINITY) <= waitMs;
}

/**
 * Step 5: a place, at once or after waiting in line. The exchange holds the reservation until it settles. Throws
 * `model_units_exhausted`, `endpoint_scaling_up`, and what cuts the exchange while it waits.
 */
export async function admit(exchange: Exchange, options: AdmitOptions): Promise<void> {
  const { served, key, estimated } = options;
  served.demand.asked(outerShareOf(served.snapshot, key), estimated, options.monotonicMs());
  const fit = fitBehindQueue(options);
  if (fit.fits) {
    const turn = turnOf(options);
    if (served.queue.isNext(turn)) served.queue.passedBy(turn);
    exchange.reservation = served.reserve(key, estimated);
    return;
  }
  if (!mayWait(options, fit)) throw refusal(options, fit);
  const sinceMs = options.monotonicMs();
  try {
    await place(exchange, options, fit);
  } finally {
    exchange.onCut(null);
    exchange.waitMs = options.monotonicMs() - sinceMs;
  }
}

function place(exchange: Exchange, options: AdmitOptions, fit: Fit): Promise<void> {
  const { served, key, estimated, waitMs } = options;
  return new Promise((resolve, reject) => {
    const waiter: Waiter = {
      ...turnOf(options),
      key,
      estimate: estimated,
      // What only the lease stands against is asked for first, also where nothing else is waited for.
      deadlineMs: options.monotonicMs() + Math.max(waitMs, !fit.fits && fit.because === 'lease' ? LEASE_WAIT_MS : 0),
      admit: (reservation: Reservation) => {
        exchange.reservation = reservation;
        resolve();
      },
      expire: () => {
        exchange.expired = true;
        reject(refusal(options, fitBehindQueue(options)));
      },
    };
    const offer = served.enqueue(waiter);
    if (offer !== 'queued') {
      const what =
        offer === 'full_share' ? 'The part of this endpoint’s queue that is yours' : 'The queue of this endpoint';
      return reject(exhausted(explain(options, fit), served, `${what} is full`));
    }
    exchange.onCut((error) => {
      served.dequeue(waiter);
      reject(error);
    });
  });
}

function refusal(options: AdmitOptions, fit: Fit): CubitError {
  if (options.served.admission.view(options.monotonicMs()).readyUnits === 0) return scalingUp(options.served);
  const { served } = options;
  const what = served.snapshot.shared ? 'The shared pool of this model is' : 'The model units of this endpoint are';
  return exhausted(explain(options, fit), served, `${what} in use`);
}
