/** What was seen of a served model since a rollout's present step began. */
export interface RolloutSample {
  readonly requests: number;
  /** Of them: refused for want of a place, failed, broken off. */
  readonly bad: number;
  /** Waiting included, 95th percentile; null: no token came. */
  readonly ttftP95Ms: number | null;
}

export interface RolloutGuard {
  /** Bad requests of the new one may be so many percentage points above the old one's. */
  readonly badPointsMax: number;
  /** Its TTFT p95 over the old one's. */
  readonly ttftRatioMax: number;
  /** Fewer requests of the new one decide nothing. */
  readonly requestsMin: number;
}

export type RolloutVerdict =
  | { readonly kind: 'wait' }
  | { readonly kind: 'go' }
  | { readonly kind: 'abort'; readonly reason: string };

/**
 * Whether a rollout may take its next step. The old model is the yardstick, at the same time and under the same load; one
 * that served next to nothing is none for TTFT, and for errors counts as faultless.
 */
export function judge(next: RolloutSample, old: RolloutSample, guard: RolloutGuard): RolloutVerdict {
  if (next.requests < guard.requestsMin) return { kind: 'wait' };
  const [badNext, badOld] = [badPercent(next), badPercent(old)];
  if (badNext > badOld + guard.badPointsMax) {
    const reason = `${badNext.toFixed(1)} % of its ${next.requests} requests failed or found no place, ${badOld.toFixed(1)} % of the other's`;
    return { kind: 'abort', reason };
  }
  if (next.ttftP95Ms === null || old.ttftP95Ms === null || old.requests < guard.requestsMin) return { kind: 'go' };
  if (next.ttftP95Ms <= old.ttftP95Ms * guard.ttftRatioMax) return { kind: 'go' };
  const reason = `its TTFT p95 is ${Math.round(next.ttftP95Ms)} ms, ${Math.round(old.ttftP95Ms)} ms that of the other`;
  return { kind: 'abort', reason };
}

function badPercent({ requests, bad }: RolloutSample): number {
  return requests === 0 ? 0 : (bad / requests) * 100;
}

/** How two models share what traffic they have together, in whole percents, when the new one has `step` percent of it. */
export function sharesAt(step: number, togetherPercent: number): { readonly next: number; readonly old: number } {
  // A step begins, however small the share.
  const next = step === 0 ? 0 : Math.min(togetherPercent, Math.max(1, Math.round((togetherPercent * step) / 100)));
  return { next, old: togetherPercent - next };
}
