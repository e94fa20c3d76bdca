import type { ErrorBand } from '../performance/band.ts';

/**
 * Where a template's step model comes from: measured on this machine, measured on another of its kind, or computed from
 * architecture and hardware facts.
 */
export type Provenance = 'measured_here' | 'measured_elsewhere' | 'facts';

/** How sure a plan is. */
export interface Confidence extends ErrorBand {
  readonly provenance: Provenance;
}

/**
 * With a measured step model there remain the formulas of unit.ts against the engine simulator with the same model, p50
 * and p95 at 30 to 80 % load together (docs/calculator.md). What the step model itself is off comes on top; `cubit
 * profile` reports it.
 */
export const MEASURED_BAND: ErrorBand = {
  tpot: { half: 0.03, threeQuarters: 0.1, nineTenths: 0.25 },
  ttft: { half: 0.08, threeQuarters: 0.17, nineTenths: 0.35 },
};
