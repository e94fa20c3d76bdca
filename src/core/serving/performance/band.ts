import type { Deployment } from './facts.ts';

/** Share of the prediction within which half, three quarters and nine tenths of measured rows lay, either way. */
export interface Band {
  readonly half: number;
  readonly threeQuarters: number;
  readonly nineTenths: number;
}

export interface ErrorBand {
  readonly tpot: Band;
  readonly ttft: Band;
}

/**
 * How far off a prediction may be. Source: the shared end-to-end rows, each model family predicted by constants fitted
 * without it (docs/performance-model.md, "How far off"), rounded up.
 */
export function errorBandOf({ draftTokens, parallelism }: Deployment, concurrency: number): ErrorBand {
  if (concurrency > 128) {
    return {
      tpot: { half: 0.25, threeQuarters: 0.4, nineTenths: 0.5 },
      ttft: { half: 0.6, threeQuarters: 1, nineTenths: 2.3 },
    };
  }
  if (draftTokens > 0 || parallelism.attentionData > 1) {
    return {
      tpot: { half: 0.15, threeQuarters: 0.25, nineTenths: 0.4 },
      ttft: { half: 0.5, threeQuarters: 0.75, nineTenths: 0.9 },
    };
  }
  return {
    tpot: { half: 0.1, threeQuarters: 0.17, nineTenths: 0.27 },
    ttft: { half: 0.25, threeQuarters: 0.43, nineTenths: 0.75 },
  };
}
