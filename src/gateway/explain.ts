import { CubitError } from '../core/errors.ts';
import type { Fit } from '../core/serving/admission.ts';
import type { Work } from '../core/serving/work.ts';
import type { AdmitOptions } from './admit.ts';
import type { ServedModel } from './served.ts';

/** Why a request was let in, waits or was refused: the same figures in a 429 and in a dry run. Own tenant only. */
export interface Explanation {
  readonly servedModel: string;
  readonly estimatedUs: Work;
  readonly levelUs: number;
  readonly capacityUs: number;
  /** What it does not fit into: `bucket`, `batch`, `kv`, `units`; null when it fits. */
  readonly because: string | null;
  /** 0 = at once; null = no unit is ready. */
  readonly predictedWaitMs: number | null;
  readonly running: number;
  readonly queued: number;
  readonly queuedUs: number;
  readonly readyUnits: number;
  /** The keys that hold places now, most work first; at most 10. */
  readonly usedBy: readonly { readonly keyId: string; readonly running: number; readonly reservedUs: number }[];
}

const KEYS_SHOWN = 10;

export function explain({ served, key, estimated, monotonicMs }: AdmitOptions, fit: Fit): Explanation {
  const view = served.admission.view(monotonicMs());
  const waitMs = fit.fits ? 0 : fit.waitMs;
  return {
    servedModel: served.snapshot.servedModelId,
    estimatedUs: estimated.work,
    levelUs: view.levelUs,
    capacityUs: view.capacityUs,
    because: fit.fits ? null : fit.because,
    predictedWaitMs: Number.isFinite(waitMs) ? waitMs : null,
    running: view.running,
    queued: served.queue.size,
    queuedUs: served.queue.workUs,
    readyUnits: view.readyUnits,
    usedBy: [...served.usedBy]
      .filter(([, use]) => use.tenantId === key.tenantId)
      .map(([keyId, { running, reservedUs }]) => ({ keyId, running, reservedUs }))
      .sort((a, b) => b.reservedUs - a.reservedUs)
      .slice(0, KEYS_SHOWN),
  };
}

export function exhausted(explanation: Explanation, { snapshot }: ServedModel, what: string): CubitError {
  const waitMs = explanation.predictedWaitMs ?? 1_000;
  const more = snapshot.shared ? 'order model units of your own' : 'add units';
  const message = `${what}: this request fits in about ${Math.ceil(waitMs / 1_000)} s. Retry then, wait in line with x-cubit-max-wait-ms, or ${more}.`;
  return new CubitError('model_units_exhausted', message, { details: { ...explanation, retryAfterMs: waitMs } });
}

export function scalingUp(served: ServedModel): CubitError {
  const { servedModelId: servedModel, unitsMax } = served.snapshot;
  const etaMs = served.etaMs();
  if (unitsMax === 0) {
    const message = 'This endpoint has no model units. Order some for it.';
    return new CubitError('endpoint_scaling_up', message, { details: { servedModel, unitsMax, etaMs: null } });
  }
  const seconds = Math.ceil((etaMs ?? 0) / 1_000);
  const message = `No unit of this endpoint is ready yet; one is expected in about ${seconds} s. Retry then.`;
  const details = { servedModel, unitsMax, etaMs, retryAfterMs: etaMs ?? 1_000 };
  return new CubitError('endpoint_scaling_up', message, { details });
}
