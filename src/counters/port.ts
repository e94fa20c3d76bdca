import type { Lease, LeaseReport } from '../core/serving/shared-capacity.ts';

export interface ModelReport {
  readonly servedModelId: string;
  readonly report: LeaseReport;
}

export interface SharedLease extends Lease {
  /** Gateways heard lately, this one included. */
  readonly gateways: number;
}

/** Where gateways meet. In the control process (`memory`, reached over HTTP from others) or in Redis or Valkey. */
export interface Counters {
  /** A lease for each report, in order. Rejects when it cannot be reached; what was spent is said again next time. */
  exchange(reports: readonly ModelReport[]): Promise<readonly SharedLease[]>;
  close(): Promise<void>;
}
