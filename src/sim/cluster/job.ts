import type { Estimate } from '../../core/serving/admission.ts';
import type { Share } from '../../core/serving/shares.ts';
import type { Work } from '../../core/serving/work.ts';
import type { TraceRequest } from '../../workload/trace.ts';
import type { Machine } from './machine.ts';

/** A request on its way through the cluster. */
export interface Job {
  readonly id: number;
  readonly request: TraceRequest;
  /** At least 1, whatever the trace says. */
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly arrivedMs: number;
  readonly deadlineMs: number;
  /** What the gateway expects; it never sees `outputTokens` before the end. */
  readonly estimate: Estimate;
  readonly workUs: number;
  readonly bytes: number;
  readonly shares: readonly Share[];
  /** What the gate holds for it while it is inside. */
  ticket: unknown;
  machine: Machine | null;
  /** The work that its machine was charged for it. */
  charged: Work;
  prefilled: boolean;
  attempts: number;
  cachedTokens: number;
  firstTokenMs: number;
}
