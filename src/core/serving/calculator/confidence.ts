/**
 * Where a template's step model comes from: measured on this machine, measured on another of its kind, or computed from
 * architecture and hardware facts.
 */
export type Provenance = 'measured_here' | 'measured_elsewhere' | 'facts';

/** Half, three quarters and nine tenths of predictions are at most this far off, as a share. */
export interface Band {
  readonly half: number;
  readonly threeQuarters: number;
  readonly nineTenths: number;
}

export interface Confidence {
  readonly provenance: Provenance;
  readonly tpot: Band;
  readonly ttft: Band;
}

const BANDS: Readonly<Record<'measured' | 'facts', Pick<Confidence, 'tpot' | 'ttft'>>> = {
  // The formulas of unit.ts against the engine simulator with the same step model (src/sim/unit.test.ts, p50 and p95
  // together): what the step model itself is off comes on top, and `cubit profile` reports it.
  measured: {
    tpot: { half: 0.03, threeQuarters: 0.1, nineTenths: 0.25 },
    ttft: { half: 0.08, threeQuarters: 0.17, nineTenths: 0.35 },
  },
  // Errors on models that the performance model was not fitted on (docs/performance.md).
  facts: {
    tpot: { half: 0.15, threeQuarters: 0.25, nineTenths: 0.35 },
    ttft: { half: 0.25, threeQuarters: 0.42, nineTenths: 0.8 },
  },
};

export function confidenceOf(provenance: Provenance): Confidence {
  return { provenance, ...BANDS[provenance === 'facts' ? 'facts' : 'measured'] };
}
